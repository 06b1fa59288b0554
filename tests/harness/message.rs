/// A message of about `octets` octets that is told from every other by `number`; lines end in CRLF, some begin with a dot,
/// some end in spaces. The same number gives the same octets.
pub fn numbered_message(number: u64, octets: usize) -> Vec<u8> {
    let mut message = format!(
        "From: App <app@example.com>\r\nTo: someone@example.org\r\nSubject: number {number}\r\nX-Number: {number}\r\n\r\n"
    )
    .into_bytes();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while message.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let line = match state % 8 {
            0 => format!(".leading dot {state:x}"),
            1 => "..".to_owned(),
            2 => format!("trailing space {state:x}  \t"),
            3 => String::new(),
            _ => format!("{state:x} ").repeat(4),
        };
        message.extend_from_slice(line.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message
}
