//! The client's end.

use std::{net::IpAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_rustls::TlsConnector;

use super::{HandshakeError, TlsError, Wall, identity::read_certificates, provider};
use crate::Clock;

/// Servers whose sessions are remembered for resumption.
const SESSIONS: usize = 1024;
/// Stands for a server whose name no certificate could have; used where certificates are not looked at, and never sent.
const NAMELESS: &str = "nameless.invalid";

/// How we speak TLS to servers. Cheap to clone; clones share their sessions.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// The same without SNI, for servers without a proper name. Nothing when names are verified.
    nameless: Option<Arc<ClientConfig>>,
}

impl Client {
    /// Takes any certificate, expired, self-signed or for another name: privacy against listeners, not against forgers.
    pub fn opportunistic(clock: Clock) -> Result<Self, TlsError> {
        let verifier = Arc::new(AnyCertificate(provider()));
        let config = configure(verifier.clone(), clock.clone())?;
        let mut nameless = configure(verifier, clock)?;
        nameless.enable_sni = false;
        Ok(Self { config: Arc::new(config), nameless: Some(Arc::new(nameless)) })
    }

    /// Takes only a certificate for the server's name signed by an authority of Mozilla's list or of the PEM file
    /// `extra_ca`.
    pub fn verified(extra_ca: Option<&Path>, clock: Clock) -> Result<Self, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = extra_ca {
            for certificate in read_certificates(path)? {
                let bad = |error: rustls::Error| TlsError::BadCertificate { path: path.into(), why: error.to_string() };
                roots.add(certificate).map_err(bad)?;
            }
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(Self { config: Arc::new(configure(verifier, clock)?), nameless: None })
    }

    /// The connector and the name to prove for a server called `server_name`.
    pub(crate) fn connector(&self, server_name: &str) -> Result<(TlsConnector, ServerName<'static>), HandshakeError> {
        let name = server_name.strip_suffix('.').unwrap_or(server_name);
        let parsed = match name.parse::<IpAddr>() {
            Ok(address) => Ok(ServerName::from(address)),
            Err(_) => ServerName::try_from(name.to_owned()),
        };
        match (parsed, &self.nameless) {
            (Ok(name), _) => Ok((TlsConnector::from(Arc::clone(&self.config)), name)),
            (Err(_), Some(nameless)) => {
                let name = ServerName::try_from(NAMELESS).expect("a literal that is a valid name");
                Ok((TlsConnector::from(Arc::clone(nameless)), name))
            }
            (Err(_), None) => Err(HandshakeError::BadName(mail::for_log(server_name, 255))),
        }
    }
}

fn configure(verifier: Arc<dyn ServerCertVerifier>, clock: Clock) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Wall(clock)))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

/// Takes any certificate. Nor is it checked whether the server holds the key for it: whoever could forge one could as
/// well show another, and some certificates in the field cannot even be parsed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
