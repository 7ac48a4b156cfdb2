//! Requests as bytes: what the replication stream and the AOF are made of.

/// Appends the head of a request of `n` arguments.
pub fn head(out: &mut Vec<u8>, n: usize) {
    number(out, b'*', n);
}

/// Appends one argument.
pub fn arg(out: &mut Vec<u8>, arg: &[u8]) {
    number(out, b'$', arg.len());
    out.extend_from_slice(arg);
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole request.
pub fn request<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    head(out, args.len());
    args.iter().for_each(|a| arg(out, a.as_ref()));
}

fn number(out: &mut Vec<u8>, mark: u8, n: usize) {
    out.push(mark);
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}
