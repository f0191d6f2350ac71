package cli

import "context"

func (x *explaining) lint(ctx context.Context) (int, error) { return ExitOK, nil }
