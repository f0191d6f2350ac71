// Goproxy-setup points Go builds at module proxies that work.
package main

import (
	"context"
	"os"

	"github.com/org/goproxy-setup/internal/cli"
)

func main() { os.Exit(cli.Main(context.Background(), cli.FromOS())) }
