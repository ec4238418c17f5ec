//! What the pages say, in English and Russian. The browser's Accept-Language decides.

use axum::http::{HeaderMap, header};

/// One language.
pub(crate) struct Words {
    pub(crate) language: &'static str,
    pub(crate) captured_mail: &'static str,
    pub(crate) captured_about: &'static str,
    pub(crate) nothing_captured: &'static str,
    pub(crate) how_to_send: &'static str,
    pub(crate) when: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) size: &'static str,
    /// Octets, thousands of them, millions of them.
    units: [&'static str; 3],
    /// What stands before the tenths.
    decimal: char,
    pub(crate) older: &'static str,
    pub(crate) no_subject: &'static str,
    pub(crate) envelope: &'static str,
    pub(crate) header: &'static str,
    pub(crate) text: &'static str,
    pub(crate) html: &'static str,
    pub(crate) html_about: &'static str,
    pub(crate) no_text: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) download: &'static str,
    pub(crate) attachments: &'static str,
    pub(crate) not_found: &'static str,
    pub(crate) no_such_page: &'static str,
    pub(crate) no_such_message: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) unavailable_about: &'static str,
    pub(crate) unreadable: &'static str,
    pub(crate) unreadable_about: &'static str,
}

static ENGLISH: Words = Words {
    language: "en",
    captured_mail: "Captured mail",
    captured_about: "Messages that a route “capture” kept here instead of sending. Newest first.",
    nothing_captured: "Nothing yet.",
    how_to_send: "Send one, for example:",
    when: "When",
    from: "From",
    to: "To",
    subject: "Subject",
    size: "Size",
    units: ["B", "KB", "MB"],
    decimal: '.',
    older: "Older",
    no_subject: "(no subject)",
    envelope: "Envelope",
    header: "Header",
    text: "Text",
    html: "HTML",
    html_about: "Shown without scripts and without anything from the network.",
    no_text: "This message has no text part.",
    cut: "The message is long; its beginning is shown. The download has it whole.",
    download: "Download as received",
    attachments: "Attachments",
    not_found: "Not found",
    no_such_page: "There is no such page.",
    no_such_message: "There is no such captured message. Old ones make room for new ones.",
    unavailable: "Not available now",
    unavailable_about: "The queue cannot be read at the moment. The server's log says why.",
    unreadable: "Unreadable message",
    unreadable_about: "This message cannot be read: its content is damaged or gone. The server's log says more.",
};

static RUSSIAN: Words = Words {
    language: "ru",
    captured_mail: "Перехваченная почта",
    captured_about: "Письма, которые маршрут «capture» оставил здесь, а не отправил. Сначала новые.",
    nothing_captured: "Пока ничего нет.",
    how_to_send: "Отправьте письмо, например так:",
    when: "Когда",
    from: "От кого",
    to: "Кому",
    subject: "Тема",
    size: "Размер",
    units: ["Б", "КБ", "МБ"],
    decimal: ',',
    older: "Раньше",
    no_subject: "(без темы)",
    envelope: "Конверт",
    header: "Заголовок",
    text: "Текст",
    html: "HTML",
    html_about: "Показано без сценариев и без обращений к сети.",
    no_text: "В этом письме нет текстовой части.",
    cut: "Письмо длинное, показано его начало. Целиком оно в файле.",
    download: "Скачать, как получено",
    attachments: "Вложения",
    not_found: "Не найдено",
    no_such_page: "Такой страницы нет.",
    no_such_message: "Такого письма нет. Старые уступают место новым.",
    unavailable: "Сейчас недоступно",
    unavailable_about: "Очередь сейчас не читается. Причина указана в журнале сервера.",
    unreadable: "Письмо не читается",
    unreadable_about: "Это письмо не прочесть: его содержимое повреждено или пропало. Подробности в журнале сервера.",
};

impl Words {
    /// `812 B`, `4.3 KB`, `50.0 MB`.
    pub(crate) fn size_of(&self, octets: u64) -> String {
        let [one, thousand, million] = self.units;
        let tenths = |unit: u64, name| format!("{}{}{} {name}", octets / unit, self.decimal, octets % unit * 10 / unit);
        match octets {
            0..1_000 => format!("{octets} {one}"),
            1_000..1_000_000 => tenths(1_000, thousand),
            _ => tenths(1_000_000, million),
        }
    }

    /// The language that the browser prefers among ours.
    pub(crate) fn of(headers: &HeaderMap) -> &'static Self {
        let wish = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (mut best, mut weight) = (&ENGLISH, 0.0_f32);
        for entry in wish.split(',').take(20) {
            let (tag, quality) = entry.split_once(";q=").unwrap_or((entry, "1"));
            let quality = quality.trim().parse::<f32>().unwrap_or(0.0);
            let language = match tag.trim().split('-').next() {
                Some(tag) if tag.eq_ignore_ascii_case("ru") => &RUSSIAN,
                Some(tag) if tag.eq_ignore_ascii_case("en") => &ENGLISH,
                _ => continue,
            };
            if quality > weight {
                (best, weight) = (language, quality);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn sizes_in_both_languages() {
        assert_eq!(ENGLISH.size_of(812), "812 B");
        assert_eq!(ENGLISH.size_of(4_380), "4.3 KB");
        assert_eq!(RUSSIAN.size_of(1_944_311), "1,9 МБ");
    }

    #[test]
    fn the_browser_chooses() {
        let check = |wish: &'static str, expect: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(wish))]);
            assert_eq!(Words::of(&headers).language, expect, "{wish}");
        };
        check("ru-RU,ru;q=0.9,en;q=0.8", "ru");
        check("de, en;q=0.5, ru;q=0.4", "en");
        check("de", "en");
        check("en;q=0.1, RU;q=0.2", "ru");
        check("", "en");
    }
}
