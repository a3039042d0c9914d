//! Where the texts of notifications are kept.
//!
//! To keep the message itself would be to keep the network library's read buffer, so that every text is copied. To
//! allocate room for each would cost more than anything else that is done with it: short ones share a sheet, and a sheet
//! of which nobody keeps a text any more is written on again.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, OnceLock};

use super::scan::Span;

/// A text that is kept.
#[derive(Clone, Debug)]
pub(super) struct Text {
    sheet: Arc<Sheet>,
    span: Span,
}

/// Keeps texts.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// What the sheet that was begun will say.
    draft: String,
    begun: Option<Arc<Sheet>>,
    /// Sheets that were handed out, the oldest first.
    lent: VecDeque<Arc<Sheet>>,
}

/// Texts one after the other. It is written before anybody reads one of them.
#[derive(Debug, Default)]
struct Sheet(OnceLock<String>);

/// Length of a sheet of several texts in bytes. Who keeps one of them keeps this much at most.
const MAX_SHEET: usize = 4096;
/// Most sheets that are watched for being given back, and the longest of them in bytes.
const MAX_LENT: usize = 48;
const MAX_LENT_BYTES: usize = 16 << 10;

impl Text {
    pub(super) fn as_str(&self) -> &str {
        let texts = self.sheet.0.get();
        self.span
            .of(texts.expect("a sheet is written before its texts are handed out"))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.span.end() - self.span.start()
    }
}

impl Shelf {
    /// Keeps a text that is not empty. It can be read after the next `write`.
    #[inline]
    pub(super) fn keep(&mut self, text: &str) -> Text {
        if self.draft.len() + text.len() > MAX_SHEET {
            self.write();
        }
        let sheet = match &self.begun {
            Some(sheet) => sheet.clone(),
            None => self.begin(),
        };
        let start = self.draft.len();
        self.draft.push_str(text);
        let span = Span::new(start, self.draft.len()).expect("a message that was read has less than 4 GiB");
        Text { sheet, span }
    }

    /// Writes what was kept, so that it can be read.
    #[inline]
    pub(super) fn write(&mut self) {
        if let Some(sheet) = self.begun.take() {
            self.lend(sheet);
        }
    }

    fn begin(&mut self) -> Arc<Sheet> {
        let sheet = self.returned().unwrap_or_default();
        self.begun = Some(sheet.clone());
        sheet
    }

    /// A sheet of which nobody keeps a text any more.
    fn returned(&mut self) -> Option<Arc<Sheet>> {
        let oldest = Arc::get_mut(self.lent.front_mut()?);
        if let Some(mut text) = oldest.and_then(|sheet| sheet.0.take()) {
            text.clear();
            self.draft = text;
            return self.lent.pop_front();
        }
        if self.lent.len() >= MAX_LENT {
            self.lent.pop_front();
        }
        None
    }

    fn lend(&mut self, sheet: Arc<Sheet>) {
        // Whoever keeps the only text of a sheet is not to keep the room of a full one.
        if self.draft.len() < self.draft.capacity() / 2 {
            sheet.0.get_or_init(|| self.draft.as_str().to_owned());
            self.draft.clear();
            return;
        }
        let is_short = self.draft.capacity() <= MAX_LENT_BYTES;
        sheet.0.get_or_init(|| mem::take(&mut self.draft));
        if is_short {
            self.lent.push_back(sheet);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of many lengths, of more than one byte a character.
    fn texts() -> Vec<String> {
        (1..3000).step_by(7).map(|length| "\u{e9}".repeat(length)).collect()
    }

    #[test]
    fn texts_are_what_they_were_and_share_no_more_than_a_sheet() {
        let (mut shelf, texts) = (Shelf::default(), texts());
        let kept: Vec<Text> = texts.iter().map(|text| shelf.keep(text)).collect();
        shelf.write();
        for (text, kept) in texts.iter().zip(&kept) {
            assert_eq!((kept.as_str(), kept.len()), (text.as_str(), text.len()));
            let sheet = kept.sheet.0.get().unwrap();
            assert!(sheet.len() <= MAX_SHEET.max(text.len()));
        }
        let mut sheets: Vec<_> = kept.iter().map(|kept| Arc::as_ptr(&kept.sheet)).collect();
        sheets.dedup();
        assert!(sheets.len() < texts.len());
    }

    #[test]
    fn only_a_sheet_that_nobody_keeps_is_written_on_again() {
        let (mut shelf, texts) = (Shelf::default(), texts());
        let mut kept = VecDeque::new();
        for (number, text) in texts.iter().cycle().take(20 * texts.len()).enumerate() {
            kept.push_back((text, shelf.keep(text)));
            if number % 5 == 0 {
                shelf.write();
                assert!(kept.iter().all(|(text, kept)| kept.as_str() == text.as_str()));
            }
            if kept.len() > 20 {
                kept.drain(..number % 20);
            }
            assert!(shelf.lent.len() <= MAX_LENT);
        }
    }

    #[test]
    fn readers_that_keep_up_cost_no_new_sheets() {
        let mut shelf = Shelf::default();
        let text = "x".repeat(MAX_SHEET);
        let mut sheets = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let kept = shelf.keep(&text);
            shelf.write();
            sheets.insert(Arc::as_ptr(&kept.sheet));
        }
        assert!(sheets.len() <= 2, "{}", sheets.len());
    }

    #[test]
    fn one_short_text_keeps_no_room_for_others() {
        let mut shelf = Shelf::default();
        for _ in 0..100 {
            drop(shelf.keep(&"x".repeat(MAX_SHEET)));
        }
        let kept = shelf.keep("short");
        shelf.write();
        assert_eq!(kept.sheet.0.get().unwrap().capacity(), "short".len());
    }
}
