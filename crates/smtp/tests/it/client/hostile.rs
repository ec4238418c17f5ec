//! Whatever a server says: each recipient has one result, in order, and nobody is accepted without a 2xx behind the
//! last octet of the content.

use mail::Stage as Step;
use proptest::prelude::*;
use smtp::client::{Output, RecipientResult, Report};

use super::{
    pure::Stage,
    script::{self, Script},
};

/// What a server might say next.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let codes = prop_oneof![
        8 => Just(250_u16), 3 => Just(354), 2 => Just(550), 1 => Just(452), 1 => Just(503), 1 => Just(421),
        1 => Just(220), 1 => 200_u16..600
    ];
    prop_oneof![
        12 => codes.clone().prop_map(|code| format!("{code} x\r\n").into_bytes()),
        2 => (codes.clone(), codes).prop_map(|(first, last)| format!("{first}-x\r\n{last} y\n").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn scene() -> impl Strategy<Value = String> {
    let extensions = prop_oneof![
        Just(""),
        Just("PIPELINING"),
        Just("CHUNKING"),
        Just("PIPELINING CHUNKING"),
        Just("PIPELINING SIZE 8BITMIME")
    ];
    (extensions, 1..6_usize, 0..3_usize, 1..40_usize).prop_map(|(extensions, recipients, lines, piece)| {
        let recipients: String = (0..recipients).map(|number| format!("<r{number}@x.example> ")).collect();
        let content = ".\\r\\nxyz\\r\\n".repeat(lines);
        format!("settings: piece={piece}\n~ {extensions}\nmail <a@x.example> {recipients}\"{content}\"")
    })
}

fn report(stage: &Stage) -> Option<&Report> {
    let mut reports = stage.outputs.iter().filter_map(|output| match output {
        Output::Done(report) => Some(report),
        _ => None,
    });
    let report = reports.next();
    assert!(reports.next().is_none(), "two reports for one transaction");
    report
}

/// The content has left, end and all.
fn is_all_said(stage: &Stage) -> bool {
    let said = String::from_utf8_lossy(&stage.said);
    said.ends_with("\r\n.\r\n") || said.contains(" LAST\r\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn each_recipient_has_one_result(scene in scene(), words in prop::collection::vec(words(), 0..14)) {
        let parsed = Script::parse(&scene);
        let mut stage = Stage::after(&parsed);
        let mut complete_before = false;
        for word in &words {
            if report(&stage).is_some() {
                break;
            }
            complete_before = is_all_said(&stage);
            stage.input(word);
        }
        let by_words = report(&stage).is_some();
        stage.session.handle_eof(stage.now);
        stage.poll();
        prop_assert!(stage.closed);
        let recipients = parsed.steps.iter().find_map(|step| match step {
            script::Step::Start(order) => Some(order.transaction.recipients.clone()),
            _ => None,
        }).unwrap();
        let report = report(&stage).expect("a transaction ends");
        let named: Vec<_> = report.recipients.iter().map(|(path, _)| path.clone()).collect();
        prop_assert_eq!(named, recipients);
        for (path, result) in &report.recipients {
            match result {
                RecipientResult::Accepted { reply } => {
                    prop_assert!(reply.is_positive() && by_words && complete_before, "{} {}", path, reply);
                }
                RecipientResult::Refused { stage, reply } => {
                    prop_assert!(reply.is_transient() || reply.is_permanent(), "{}", reply);
                    prop_assert!((Step::Mail..=Step::Content).contains(stage));
                }
                RecipientResult::Lost { text, .. } => prop_assert!(!text.is_empty()),
            }
        }
    }

    /// Before any transaction the driver is told once that the connection is of no use, or that it is ready.
    #[test]
    fn a_greeting_ends(words in prop::collection::vec(words(), 0..10), required in any::<bool>()) {
        let settings = if required { "settings: tls=required user=anna:secret" } else { "settings: user=anna:secret clear_text_auth" };
        let mut stage = Stage::new(&Script::parse(settings));
        for word in words {
            if !stage.tls_due {
                stage.input(&word);
            }
        }
        let ready = stage.ready;
        stage.session.handle_eof(stage.now);
        stage.poll();
        let failed = stage.outputs.iter().filter(|output| matches!(output, Output::Failed(_))).count();
        prop_assert!(stage.closed && (failed == 1) != ready && !(required && ready));
    }
}
