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

// certificate returns a server's certificate and the CA's PEM. It is good for
// example.com and its subdomains, localhost and every address of this machine.
func certificate(mode TLS) (cert tls.Certificate, ca []byte, err error) {
	parent, err := authority()
	if err != nil {
		return cert, nil, err
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "proxytest"},
		DNSNames:    []string{"localhost", "example.com", "*.example.com", "*.corp.example.com"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	addrs, _ := net.InterfaceAddrs() // no addresses: the names still work
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			leaf.IPAddresses = append(leaf.IPAddresses, n.IP)
		}
	}
	signer := parent
	switch mode {
	case PrivateCA:
	case Expired:
		leaf.NotAfter = time.Now().AddDate(0, 0, -1)
	case WrongHost:
		leaf.DNSNames, leaf.IPAddresses = []string{"wrong.example.net"}, nil
	case SelfSigned:
		signer = nil
	default:
		return cert, nil, fmt.Errorf("proxytest: unknown TLS %q", mode)
	}
	c, err := issue(leaf, signer)
	if err != nil {
		return cert, nil, err
	}
	return *c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: parent.Certificate[0]}), nil
}

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
