// Shows what a TLS server sends; the broker verifies its certificate and does the handshake.
//
//	go build connect.go
//	./connect HOST PORT NAME          NAME: what the certificate is to say
package main

// #cgo pkg-config: ktls-bridge-client
// #include <ktls_bridge_client.h>
import "C"

import (
	"log"
	"net"
	"os"
	"unsafe"
)

func main() {
	connection, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		log.Fatal(err)
	}
	file, _ := connection.(*net.TCPConn).File() // a blocking copy, out of the poller's hands
	connection.Close()
	fd := C.int(file.Fd())
	if result, err := C.ktlsb_connect(fd, C.CString(os.Args[3]), -1, nil); result != 0 {
		log.Fatal("ktlsb_connect: ", err)
	}
	file.WriteString("GET / HTTP/1.0\r\n\r\n")
	buffer := make([]byte, 16384)
	size, err := C.ssize_t(1), error(nil)
	for size > 0 {
		size, err = C.ktlsb_read(fd, unsafe.Pointer(&buffer[0]), C.size_t(len(buffer)))
		if size < 0 {
			log.Fatal("ktlsb_read: ", err)
		}
		os.Stdout.Write(buffer[:size])
	}
	C.ktlsb_shutdown_write(fd)
	file.Close()
}
