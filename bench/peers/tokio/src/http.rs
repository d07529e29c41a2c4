//! hyper, as its guide has it: a task a connection, which serves HTTP/1. Runs until it is killed.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(answer)
}

pub async fn serve() -> ! {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a listening socket");
    println!("{{\"port\": {}}}", door.local_addr().expect("it is bound").port());
    loop {
        let (peer, _) = door.accept().await.expect("accept");
        peer.set_nodelay(true).expect("TCP_NODELAY");
        tokio::spawn(async {
            // An error: the peer is gone.
            drop(
                http1::Builder::new().serve_connection(TokioIo::new(peer), service_fn(hello)).await,
            );
        });
    }
}
