//! The image in the body of a request: the file of a form (RFC 7578), or the bytes themselves.

use memchr::memmem;

use super::response::Response;

/// The name of the form's field.
pub const FIELD: &str = "image";

/// The most headers of a part.
const MAX_HEADERS: usize = 16;

/// The longest boundary (RFC 2046).
const MAX_BOUNDARY_BYTES: usize = 70;

/// An image that was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Upload<'a> {
    /// The file's name on the sender's machine, without folders; for people only.
    pub name: Option<String>,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The image in a body of this media type.
///
/// # Errors
/// The answer, where there is none.
pub fn image<'a>(content_type: &str, body: &'a [u8]) -> Result<Upload<'a>, Response> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let upload = match media_type.as_str() {
        "multipart/form-data" => {
            let boundary = boundary(content_type).ok_or_else(|| malformed("its boundary is missing or malformed"))?;
            file_in_form(&boundary, body)?
        }
        "application/octet-stream" => Upload { name: None, bytes: body },
        media_type if media_type.starts_with("image/") => Upload { name: None, bytes: body },
        _ => return Err(Response::text(415, "send a form with a file, or the bytes of an image as `image/*`")),
    };
    if upload.bytes.is_empty() {
        return Err(Response::text(400, "no image was chosen"));
    }
    Ok(upload)
}

fn malformed(why: &str) -> Response {
    Response::text(400, &format!("the form cannot be read: {why}"))
}

/// The boundary of a form's media type, which may be quoted.
fn boundary(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let is_boundary = (1..=MAX_BOUNDARY_BYTES).contains(&value.len()) && value.bytes().all(is_allowed);
    is_boundary.then(|| value.to_owned())
}

/// The file in the form's field: the parts lie between lines `--BOUNDARY`, the last of which ends with `--`.
fn file_in_form<'a>(boundary: &str, body: &'a [u8]) -> Result<Upload<'a>, Response> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = memmem::Finder::new(delimiter.as_bytes());
    let first = format!("--{boundary}");
    let mut rest =
        body.strip_prefix(first.as_bytes()).ok_or_else(|| malformed("it does not begin with its boundary"))?;
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n").ok_or_else(|| malformed("a boundary is not alone on its line"))?;
        let end = delimiter.find(part).ok_or_else(|| malformed("its end is missing"))?;
        if let Some(upload) = file_in_part(&part[..end])? {
            return Ok(upload);
        }
        rest = &part[end + delimiter.needle().len()..];
    }
    Err(malformed(&format!("it has no file `{FIELD}`")))
}

/// The file of a part; `None` for another field.
fn file_in_part(part: &[u8]) -> Result<Option<Upload<'_>>, Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (head, headers) = match httparse::parse_headers(part, &mut headers) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        _ => return Err(malformed("the head of a part is malformed")),
    };
    let disposition = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-disposition"));
    let disposition = disposition.map(|header| String::from_utf8_lossy(header.value)).unwrap_or_default();
    if quoted(&disposition, "name").as_deref() != Some(FIELD) {
        return Ok(None);
    }
    let name = quoted(&disposition, "filename");
    let name = name.map(|name| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned());
    Ok(Some(Upload { name: name.filter(|name| !name.is_empty()), bytes: &part[head..] }))
}

/// The quoted value of a parameter. Browsers write `%22` for a quote in it.
fn quoted(disposition: &str, name: &str) -> Option<String> {
    let start = disposition.find(&format!("; {name}=\""))? + name.len() + 4;
    let (value, _) = disposition[start..].split_once('"')?;
    Some(value.replace("%22", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=x-1";

    fn form(parts: &str) -> String {
        parts.replace('\n', "\r\n")
    }

    #[test]
    fn a_file_is_found_among_the_fields_of_a_form() {
        let body = form(
            "--x-1\nContent-Disposition: form-data; name=\"k\"\n\n3\n--x-1\nContent-Disposition: form-data; \
             name=\"image\"; filename=\"C:\\a\\%22b%22.png\"\nContent-Type: image/png\n\n--x\n-1\n--x-1--\n",
        );
        let upload = image("Multipart/Form-Data; charset=utf-8; boundary=\"x-1\"", body.as_bytes()).unwrap();
        assert_eq!(upload, Upload { name: Some("\"b\".png".to_owned()), bytes: b"--x\r\n-1" });
        assert_eq!(image("image/png", b"raw").unwrap(), Upload { name: None, bytes: b"raw" });
        assert_eq!(image("application/octet-stream", b"raw").unwrap().bytes, b"raw");
    }

    #[test]
    fn what_is_no_form_with_a_file_is_refused() {
        let part = "--x-1\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\n\n";
        for (content_type, body, status) in [
            ("", "x", 415),
            ("text/plain", "x", 415),
            ("application/x-www-form-urlencoded", "image=x", 415),
            ("image/png", "", 400),
            ("multipart/form-data", "--\n", 400),
            ("multipart/form-data; boundary=", "--\n", 400),
            ("multipart/form-data; boundary=a b", "--a b--\n", 400),
            (&format!("multipart/form-data; boundary={}", "a".repeat(71)), "", 400),
            (FORM, "", 400),
            (FORM, "--x-1", 400),
            (FORM, "--x-1--", 400),
            (FORM, "--x-1--\n", 400),
            (FORM, "--x-2\n\n\n--x-2--\n", 400),
            (FORM, &format!("{part}unfinished"), 400),
            (FORM, &format!("{part}\n--x-1--\n"), 400),
            (FORM, "--x-1\nno head", 400),
            (FORM, "--x-1\n\n\n\n--x-1--", 400),
            (FORM, "--x-1\nContent-Disposition: form-data; name=\"other\"\n\nx\n--x-1--\n", 400),
            (FORM, &format!("--x-1\n{}\n\nx\n--x-1--\n", "a: b\n".repeat(17)), 400),
        ] {
            let body = form(body);
            let refused = image(content_type, body.as_bytes());
            assert_eq!(refused.map(|_| ()).map_err(|answer| answer.status), Err(status), "{content_type} {body}");
        }
    }
}
