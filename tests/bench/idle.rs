//! The memory of connections that do nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::resident_kib;

pub(crate) async fn measure(relay: SocketAddr, pid: u32, connections: usize) -> Result<String, String> {
    let before = resident_kib(pid);
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let stream = greeted(relay).await.map_err(|error| format!("connection {number}: {error}"))?;
        open.push(stream);
    }
    let after = resident_kib(pid);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    let each = (after - before) as f64 / connections as f64;
    Ok(format!(
        "idle={connections} rss_before_mib={} rss_after_mib={} kib_each={each:.1}",
        before / 1024,
        after / 1024
    ))
}

async fn greeted(relay: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(relay).await?;
    answered(&mut stream).await?;
    stream.write_all(b"EHLO idle.example\r\n").await?;
    answered(&mut stream).await?;
    Ok(stream)
}

async fn answered(stream: &mut TcpStream) -> std::io::Result<()> {
    match stream.read(&mut [0; 1024]).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
