// Package proxytest is a real module proxy and checksum database that fails on
// request. Only tests import it.
//
// A [Server] listens on loopback and never uses the network. It serves
//
//   - real public modules, recorded byte for byte, so that their well-known
//     hashes hold: rsc.io/quote v1.5.2 and v1.0.0, rsc.io/sampler v1.3.0,
//     github.com/BurntSushi/toml v0.3.1, golang.org/x/time v0.1.0 and its list,
//     github.com/inconshreveable/mousetrap and github.com/hashicorp/errwrap v1.0.0;
//   - [BigModule] with its real .info and .mod, but a zip of 4.8 MB that is
//     generated, so its h1 is not the public one; a build of rsc.io/quote needs
//     go.sum lines from [Server.GoSum];
//   - the synthetic modules of testdata/modules.txtar and of [Options].Modules;
//   - every module path below example.com/case/ and *.example.com/case/, as v1.0.0;
//   - the modules of a download cache on disk, [Options].Dir;
//   - every toolchain, as 2 MiB of noise;
//   - a checksum database of all these, [SumDBName], with the key [GOSUMDB];
//   - of sum.golang.org: /supported and the signed record of rsc.io/quote@v1.5.2.
//
// # Faults
//
// Faults stand at the front of the URL's path, so a test case is one line and
// the client is untouched: p.URL+"/502" is a proxy that answers 502 to
// everything, p.URL+"/zip:403+list:500" one that refuses zips and breaks at
// lists. The grammar is {"/" [KIND ":"] FAULT ["=" ARG] ["@" N] {"+" …}}; faults apply
// from left to right until one has answered. [Server.SetFault] puts a fault
// before all others at run time. A fault that does not exist is answered by 500
// and is an error of [Server.Close], which [New] makes a test failure.
//
//	ok ok=name       none; gives the proxy another base URL
//	204 304 4xx 5xx  that status with a short text; 429 with "Retry-After: 1", 429=30 and 503=30 with 30
//	auth             401 unless Basic ci:secret is sent
//	html             200, the HTML of a captive portal
//	empty            200, no body
//	hostile          502, a body with workflow commands, escape sequences and the like
//	endless          200, a body of 10 GiB
//	redirect         302 to the same file without faults; redirect=307 and the like
//	redirect-host    the same, on another port ([Server].Other)
//	redirect-loop    302 to itself
//	redirect-dead    302 to a host that refuses connections
//	redirect-silent  302 to a host that accepts and never answers
//	portal-redirect  302 to the login page of another host
//	slow=200ms       waits, then goes on to the next fault or the answer
//	silent           accepts the request and never answers
//	flaky=30         503 to 30 % of the requests, in every run to the same
//	stall            header, half of the body, then silence
//	cut              header with the honest length, half of the body, then the connection closes
//	cut-silent       half of the body without a length: it looks whole
//	short            half of the body, with the length of that half
//	close            the connection closes without an answer
//	reset            the same, by RST
//	vanish           every connection breaks off and the server is gone: from then on its port refuses
//	wrong-bytes      a valid zip with other content; a changed .mod; a lookup with another h1
//	corrupt-zip      one byte of the zip flipped: intact directory, bad checksum
//	wrong-info       .info and @latest name another version
//	forged           the checksum database's answer, signed by another key of the same name
//	as=a             what the module path says for role a: example.com/case/a_502/b_zip_html
//	                 is a 502 from /as=a and HTML zips from /as=b
//
// Over HTTP/2 (every TLS server speaks it) close and reset end the stream with
// INTERNAL_ERROR.
//
// A kind restricts a fault:
//
//	list latest info mod zip        files of the module proxy
//	sumdb supported lookup tile     the checksum database, or a part of it
//	big-zip                         zips over 1 MiB
//	upper                           capital letters in the module path or version
//	absent                          files that do not exist
//	public example                  recorded modules; all others
//	toolchain                       golang.org/toolchain
//	first                           the first request for each URL
//
// Behind a fault may stand how many of the requests that it is for it lets pass
// before it begins: "zip:cut@85" breaks off from the 86th zip on.
//
// A healthy answer to a Range request is the part of the file.
//
// Faults of the connection that a path cannot ask for are addresses:
// [Server].Refuse, Silent and BlackHole. Faults of certificates are an option, [TLS].
package proxytest
