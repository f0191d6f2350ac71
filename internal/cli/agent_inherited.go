package cli

import (
	"errors"
	"strings"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
)

// chain returns the agent's chain if it is not the policy's: that of --chain or,
// where there is no policy file, the GOPROXY that is set, with kept true. Its
// credentials are noted.
func (r *agentRun) chain(goproxy string) (chain string, kept bool, err error) {
	r.creds = nil
	chain = r.text("chain")
	if !r.policy.builtIn || chain != "" || goproxy == "" {
		return chain, false, nil
	}
	if r.creds, chain, err = splitChain(goproxy); err != nil {
		return "", true, notKept(err)
	}
	return chain, true, nil
}

// notKept is the error for a GOPROXY that cannot be the agent's chain. Another
// chain would show to others what that one was to serve.
func notKept(err error) error {
	if e, ok := errors.AsType[*policy.Error](err); ok && e.Place.File != "--chain" {
		return err // it was another option
	}
	return usagef("mend GOPROXY, or give --chain or a policy file", "the GOPROXY that is set cannot be the agent's chain: %s", strings.ReplaceAll(firstLine(err), "--chain: ", ""))
}

// asGoWould gives the entries of s, the chain of a GOPROXY that is set, the
// duties they have for the go command. Who stands behind a comma learns only of
// what is not found before it, and if nothing goes around the chain, it is asked
// for private modules, too. The services of the catalogue are public all the
// same.
func asGoWould(s *policy.Settings, goproxy string, was decision.Inherited) {
	list, _ := goenv.ParseChain(goproxy) // parsed before
	around := was.GOPRIVATE
	if was.GONOPROXY != "" {
		around = was.GONOPROXY
	}
	for i := range min(len(list), len(s.Chain)) {
		e := &s.Chain[i]
		if _, public := policy.LookupProxy(e.Name); public || e.Keyword() {
			continue
		}
		e.Gatekeeper = list[i].Sep == goenv.Comma
		e.Private = around == "" || around == "none"
	}
}

// heedSumDB does without a policy file what GOSUMDB says: nobody else learns of
// the build's modules.
func (r *agentRun) heedSumDB(gosumdb string) {
	if db, err := goenv.ParseSumDB(gosumdb); gosumdb == "" || err != nil {
		return // go itself will say so
	} else if db.Off {
		r.config.Settings.SumDB = policy.SumDBOff
	} else {
		r.config.Agent.Databases = []string{gosumdb}
	}
}
