//! A task a connection. Runs until it is killed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut peer: TcpStream) -> std::io::Result<()> {
    peer.set_nodelay(true)?;
    let mut message = [0; 1024];
    loop {
        let got = peer.read(&mut message).await?;
        if got == 0 {
            return Ok(());
        }
        peer.write_all(&message[..got]).await?;
    }
}

pub async fn serve() -> ! {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a listening socket");
    println!("{{\"port\": {}}}", door.local_addr().expect("it is bound").port());
    loop {
        let (peer, _) = door.accept().await.expect("accept");
        tokio::spawn(async { drop(echo(peer).await) }); // an error: the peer is gone
    }
}
