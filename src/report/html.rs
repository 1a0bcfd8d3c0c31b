//! Pieces of a page: escaped text, paragraphs, tables.

use std::fmt::Write as _;

/// Text that can stand anywhere in a page, also in an attribute between double quotes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            // Other control characters are not allowed in a page.
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A paragraph of plain text.
pub fn paragraph(class: &str, text: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<p{class}>{}</p>\n", escape(text))
}

/// A list of plain texts; nothing when there are none.
pub fn bullets<S: AsRef<str>>(class: &str, texts: &[S]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let items: String = texts.iter().map(|text| format!("<li>{}</li>\n", escape(text.as_ref()))).collect();
    format!("<ul class=\"{class}\">\n{items}</ul>\n")
}

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Text,
    Number,
}

/// A table that scrolls within its box where it is wider than the page.
#[derive(Clone, Debug)]
pub struct Table {
    caption: String,
    head: Vec<(String, Align)>,
    rows: Vec<(bool, Vec<String>)>,
}

impl Table {
    /// Without rows. The first column names them.
    pub fn new(caption: impl Into<String>) -> Self {
        Self { caption: caption.into(), head: Vec::new(), rows: Vec::new() }
    }

    /// One more column of words.
    pub fn text(&mut self, name: impl Into<String>) -> &mut Self {
        self.head.push((name.into(), Align::Text));
        self
    }

    /// One more column of numbers.
    pub fn number(&mut self, name: impl Into<String>) -> &mut Self {
        self.head.push((name.into(), Align::Number));
        self
    }

    /// One more row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push((true, cells));
    }

    /// One that does not count: grey, and its words must say so, too.
    pub fn row_if(&mut self, counts: bool, cells: Vec<String>) {
        self.rows.push((counts, cells));
    }

    /// As it stands in the page.
    pub fn html(&self) -> String {
        let caption = escape(&self.caption);
        // Writing to a String cannot fail, here and below.
        let mut html = format!(
            "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\n<table>\n\
             <caption>{caption}</caption>\n<thead><tr>"
        );
        for (name, align) in &self.head {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(*align), escape(name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for (counts, cells) in &self.rows {
            html.push_str(if *counts { "<tr>" } else { "<tr class=\"void\">" });
            for (at, cell) in cells.iter().enumerate() {
                let align = self.head.get(at).map_or(Align::Text, |(_, align)| *align);
                let (cell, class) = (escape(cell), class(align));
                let _ = if at == 0 {
                    write!(html, "<th scope=\"row\">{cell}</th>")
                } else {
                    write!(html, "<td{class}>{cell}</td>")
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n</div>\n");
        html
    }
}

const fn class(align: Align) -> &'static str {
    match align {
        Align::Text => "",
        Align::Number => " class=\"n\"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escape("<script>alert(\"a\" & 'b')</script>\u{0}"),
            "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;\u{fffd}"
        );
        let mut table = Table::new("<b>");
        table.text("<i>").number("n");
        table.row_if(false, vec!["<u>".into(), "1".into()]);
        let html = table.html();
        assert!(!["<b>", "<i>", "<u>"].iter().any(|tag| html.contains(tag)), "{html}");
        assert!(
            html.contains("<tr class=\"void\"><th scope=\"row\">&lt;u&gt;</th><td class=\"n\">1</td></tr>")
        );
    }
}
