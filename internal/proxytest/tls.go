package proxytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// A TLS says how a server speaks TLS, and what is wrong with its certificate.
type TLS string

const (
	PrivateCA  TLS = "private-ca"  // right, if the client trusts Server.CA
	Expired    TLS = "expired"     // as PrivateCA, but expired yesterday
	WrongHost  TLS = "wrong-host"  // as PrivateCA, but for wrong.example.net
	SelfSigned TLS = "self-signed" // trusted by nobody
)

// authority is a process's private CA.
var authority = sync.OnceValues(func() (*tls.Certificate, error) {
	return issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "proxytest CA", Organization: []string{"Example Corp"}},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}, nil)
})

// tlsConfig returns a server's settings and the CA's PEM. The certificate is
// good for localhost, every address of this machine, and whatever other name a
// client comes for.
func tlsConfig(mode TLS) (*tls.Config, []byte, error) {
	ca, err := authority()
	if err != nil {
		return nil, nil, err
	}
	signer, notAfter := ca, time.Time{}
	switch mode {
	case PrivateCA, WrongHost:
	case Expired:
		notAfter = time.Now().AddDate(0, 0, -1)
	case SelfSigned:
		signer = nil
	default:
		return nil, nil, fmt.Errorf("proxytest: unknown TLS %q", mode)
	}
	get := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := &x509.Certificate{
			Subject:     pkix.Name{CommonName: "proxytest"},
			DNSNames:    []string{"localhost"},
			NotAfter:    notAfter,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			IPAddresses: addresses(),
		}
		if hello.ServerName != "" {
			leaf.DNSNames = append(leaf.DNSNames, hello.ServerName)
		}
		if mode == WrongHost {
			leaf.DNSNames, leaf.IPAddresses = []string{"wrong.example.net"}, nil
		}
		return issue(leaf, signer)
	}
	return &tls.Config{GetCertificate: get}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}), nil
}

// addresses returns the addresses of this machine. If it can't tell, there are
// still the names.
var addresses = sync.OnceValue(func() (ips []net.IP) {
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			ips = append(ips, n.IP)
		}
	}
	return ips
})

// issue signs the template by the parent, or by itself without one.
func issue(template *x509.Certificate, parent *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().AddDate(0, 0, -7)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 0, 7)
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
