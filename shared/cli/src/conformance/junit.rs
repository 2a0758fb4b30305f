//! The results as JUnit XML, as CI servers read it: a test case for each check.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::finding::Verdict;
use super::report::{Report, Row};

const SUITE: &str = "saga conformance";
const CLASS: &str = "saga.conformance";

/// The document.
pub fn write(report: &Report) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut writer, report)?;
    let mut bytes = writer.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn document(writer: &mut Writer<Vec<u8>>, report: &Report) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let counts = [
        ("tests", report.rows.len()),
        ("failures", report.broken()),
        ("errors", usize::from(report.unreachable.is_some())),
        ("skipped", report.skipped()),
    ]
    .map(|(name, count)| (name, count.to_string()));
    let seconds = seconds(report.millis);
    let counts = || counts.iter().map(|(name, count)| (*name, count.as_str()));
    let suites = writer.create_element("testsuites").with_attributes(counts());
    suites.write_inner_content(|writer| {
        let suite = writer.create_element("testsuite").with_attribute(("name", SUITE));
        let suite = suite
            .with_attributes(counts())
            .with_attribute(("time", &*seconds));
        suite.write_inner_content(|writer| {
            let properties = writer.create_element("properties");
            properties.write_inner_content(|writer| {
                for (name, value) in [("url", &report.url), ("step", &report.step)] {
                    let property = writer.create_element("property");
                    property
                        .with_attributes([("name", name), ("value", value)])
                        .write_empty()?;
                }
                Ok(())
            })?;
            report.rows.iter().try_for_each(|row| case(writer, row))
        })?;
        Ok(())
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, row: &Row) -> io::Result<()> {
    let seconds = seconds(row.millis);
    let case = writer.create_element("testcase").with_attributes([
        ("classname", CLASS),
        ("name", row.check.id),
        ("time", &*seconds),
    ]);
    match &row.verdict {
        Verdict::Kept => drop(case.write_empty()?),
        Verdict::Skipped(why) => {
            case.write_inner_content(|writer| {
                writer
                    .create_element("skipped")
                    .with_attribute(("message", why.as_str()))
                    .write_empty()?;
                Ok(())
            })?;
        }
        Verdict::Broken(finding) => {
            case.write_inner_content(|writer| {
                let failure = writer.create_element("failure");
                let failure =
                    failure.with_attributes([("type", row.check.id), ("message", finding.why.as_str())]);
                let (promise, mend) = (row.check.promise, row.check.mend);
                let text = format!(
                    "promise: {promise}\nsent: {}\ncame: {}\nwhy: {}\nmend: {mend}",
                    finding.sent, finding.came, finding.why
                );
                failure.write_text_content(BytesText::new(&text))?;
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
