// Sends a file to all who connect, by TLS and without a key: a goroutine for each of them.
//
//	go build serve.go
//	./serve PORT FILE
package main

// #cgo pkg-config: ktls-bridge-client
// #include <ktls_bridge_client.h>
import "C"

import (
	"fmt"
	"log"
	"net"
	"os"
	"syscall"
	"unsafe"
)

func sendFile(fd C.int, path string) {
	defer syscall.Close(int(fd))
	file, err := os.Open(path)
	for sent := 1; err == nil && sent > 0; {
		sent, err = syscall.Sendfile(int(fd), int(file.Fd()), nil, 1<<20)
	}
	if err != nil {
		log.Print(err)
		return
	}
	C.ktlsb_shutdown_write(fd)
	rest := make([]byte, 4096) // the request, and the client's end
	for C.ktlsb_read(fd, unsafe.Pointer(&rest[0]), C.size_t(len(rest))) > 0 {
	}
	file.Close()
}

func main() {
	listening, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	file, _ := listening.(*net.TCPListener).File()
	listener, err := C.ktlsb_listen(C.int(file.Fd()), 16)
	if listener == nil {
		log.Fatal("ktlsb_listen: ", err)
	}
	fmt.Println("serving on port", listening.Addr().(*net.TCPAddr).Port)
	for {
		fd, err := C.ktlsb_accept(listener, nil)
		if fd >= 0 {
			go sendFile(fd, os.Args[2])
		} else if err != syscall.ECONNABORTED && err != syscall.ECONNREFUSED && err != syscall.EINTR {
			log.Fatal("ktlsb_accept: ", err) // else: the broker is being restarted, or a signal of Go's
		}
	}
}
