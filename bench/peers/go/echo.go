package main

import (
	"fmt"
	"net"
)

// Runs until it is killed. The net package sets TCP_NODELAY itself.
func serveEcho() {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Printf("{\"port\": %d}\n", door.Addr().(*net.TCPAddr).Port)
	for {
		peer, err := door.Accept()
		must(err)
		go echo(peer)
	}
}

func echo(peer net.Conn) {
	defer peer.Close()
	message := make([]byte, 1024)
	for {
		got, err := peer.Read(message)
		if err != nil {
			return
		}
		if _, err = peer.Write(message[:got]); err != nil {
			return
		}
	}
}
