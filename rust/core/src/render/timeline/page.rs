//! The page around the data: what is the same in every timeline.

/// What the browser may do with the page: run what stands in it under this page's own, unguessable word,
/// and load nothing.
const POLICY: &str = "default-src 'none'; script-src 'nonce-NONCE'; style-src 'nonce-NONCE'; \
                      base-uri 'none'; form-action 'none'";

const BODY: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// In this order they are one script.
const SCRIPT: [&str; 10] = [
    include_str!("data.js"),
    include_str!("format.js"),
    include_str!("lanes.js"),
    include_str!("view.js"),
    include_str!("draw.js"),
    include_str!("overview.js"),
    include_str!("details.js"),
    include_str!("search.js"),
    include_str!("input.js"),
    include_str!("main.js"),
];

/// Everything up to the data.
pub(super) fn write_head(out: &mut Vec<u8>) {
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let policy = POLICY.replace("NONCE", &nonce);
    let texts = [
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"",
        &policy,
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>inspect-trace timeline</title>\n<style nonce=\"",
        &nonce,
        "\">\n",
        STYLE,
        "</style>\n</head>\n",
        BODY,
        // It waits until the data is there.
        "<script type=\"module\" nonce=\"",
        &nonce,
        "\">\n",
    ];
    texts.into_iter().chain(SCRIPT).for_each(|text| out.extend_from_slice(text.as_bytes()));
    out.extend_from_slice(b"</script>\n<script type=\"application/json\" id=\"data\">");
}

/// Everything after it.
pub(super) fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</script>\n</body>\n</html>\n");
}
