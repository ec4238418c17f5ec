//! The only door to the network, the clock and chance; and [`sim`], an internet in memory.
//!
//! Everything above asks here for what a test must be able to replace: the time ([`Clock`]), random numbers ([`Chance`]),
//! tasks ([`tasks::Tasks`]), sockets ([`Listener`], [`Connector`], [`Stream`]), names ([`Resolver`]) and TLS ([`tls`]).
//! No other crate names `tokio::net`, `rustls` or `hickory`. What is said over a connection is not known here.

mod chance;
mod clock;
mod connect;
mod endpoint;
pub mod http;
mod listen;
mod local;
mod resolve;
pub mod sim;
mod stream;
mod supervisor;
pub mod tasks;
pub mod tls;

pub use chance::Chance;
pub use clock::{Clock, DeadlinePassed, Timer};
pub use connect::{ConnectError, Connector, TcpConnector};
pub use endpoint::{Channel, DialError, Dialer, Endpoint, EndpointError};
pub use listen::{BindError, Bound, InheritError, Inherited, Listener};
pub use local::{LocalListener, LocalStream, connect_local};
pub use resolve::{
    ADDRESSES_MAX, DnsResolver, DnsSettings, Exchange, MX_MAX, MxAnswer, RECORDS_MAX, ResolveError, Resolver,
    ResolverError, TXT_OCTETS_MAX,
};
pub use stream::Stream;
pub use supervisor::{Phase, Supervisor};
