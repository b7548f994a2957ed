// Go's crypto/tls as a peer of stacks.py, which says how it is called and what it prints.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

const size = 65536
const timeout = 60 * time.Second

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func suiteNamed(name string) []uint16 {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.Name == name {
			return []uint16{suite.ID}
		}
	}
	return nil
}

func makeConfig(version, suite, ca, certificate, key string) *tls.Config {
	versions := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	pem, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{
		RootCAs: roots, ServerName: "localhost", CipherSuites: suiteNamed(suite),
		MinVersion: versions[version], MaxVersion: versions[version],
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if certificate != "-" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func say(version string, connection *tls.Conn, isServer bool) {
	state := connection.ConnectionState()
	how := "full"
	if state.DidResume {
		how = "resumed"
	}
	if isServer && len(state.PeerCertificates) > 0 {
		how += " shown"
	}
	fmt.Println(version, tls.CipherSuiteName(state.CipherSuite), how)
}

func runClient(config *tls.Config, port, version string, count int) {
	for i := 0; i < count; i++ {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+port, config)
		check(err)
		connection.SetDeadline(time.Now().Add(timeout))
		data, got := make([]byte, size), make([]byte, size)
		rand.Read(data)
		_, err = connection.Write(data)
		check(err)
		_, err = io.ReadFull(connection, got)
		check(err)
		if !bytes.Equal(data, got) {
			check(fmt.Errorf("other bytes came back"))
		}
		say(version, connection, false)
		check(connection.CloseWrite())
		_, err = connection.Read(got)
		if err != io.EOF {
			check(fmt.Errorf("no end in order: %v", err))
		}
		connection.Close()
	}
}

func runServer(config *tls.Config, version string, count int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for i := 0; i < count; i++ {
		tcp, err := listener.Accept()
		check(err)
		connection := tls.Server(tcp, config)
		connection.SetDeadline(time.Now().Add(timeout))
		_, err = io.Copy(connection, connection)
		check(err)
		say(version, connection, true)
		connection.Close()
	}
}

func main() {
	role, port, version, suite := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	count, err := strconv.Atoi(os.Args[9])
	check(err)
	config := makeConfig(version, suite, os.Args[6], os.Args[7], os.Args[8])
	if role == "asking-server" {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, config.RootCAs
	}
	if role == "client" {
		runClient(config, port, version, count)
	} else {
		runServer(config, version, count)
	}
}
