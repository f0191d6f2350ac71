package ci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/goproxy-setup/internal/report"
)

// audience is what an OIDC token is asked for. Nobody verifies it: the token
// never leaves this process.
const audience = "goproxy-setup"

// EnvironmentFromAPI asks GitHub for the name of the job's environment, which
// no variable tells: first the job's check run ("checks: read" and the input
// "check-run-id"), then the claim of an OIDC token ("id-token: write"). Each is
// asked only if this step was given the means; what fails is a finding, and so
// is a step without any. The name is "" if the job has no environment, or nobody
// may ask for it.
//
// It makes up to two requests: call it only if the name matters.
func (j *Job) EnvironmentFromAPI(ctx context.Context) (Environment, []report.Finding) {
	if j.System != GitHub {
		return Environment{}, nil
	}
	var findings []report.Finding
	asked := false
	for _, way := range []struct {
		source string
		ask    func(context.Context) (string, error)
	}{
		{"github check run", j.checkRunEnvironment},
		{"github oidc", j.oidcEnvironment},
	} {
		name, err := way.ask(ctx)
		if name != "" {
			return Environment{name, way.source}, nil
		}
		if errors.Is(err, errNoMeans) {
			continue
		}
		asked = true
		if err != nil {
			findings = append(findings, report.Finding{
				ID: "environment-lookup", Severity: report.Notice, Title: "Environment not known",
				Message: way.source + ": " + j.redact(err.Error()),
				Fix:     "name the environment by the input, or allow the job to ask: " + permission[way.source],
			})
		}
	}
	if !asked {
		findings = append(findings, notAsked)
	}
	return Environment{}, findings
}

// notAsked is the finding for a step without any means to ask.
var notAsked = report.Finding{
	ID: "environment-lookup", Severity: report.Notice, Title: "Environment not asked for",
	Message: "whether the job has an environment is not known: this step was given neither the job's check run with a token nor an id-token",
	Fix: "name the environment, or give the step GOPROXY_SETUP_CHECK_RUN_ID: ${{ job.check_run_id }} and " +
		"GOPROXY_SETUP_GITHUB_TOKEN: ${{ github.token }}; inputs of another step do not reach it",
}

// errNoMeans reports a way of asking that this step was not given.
var errNoMeans = errors.New("not given")

var permission = map[string]string{
	"github check run": `"permissions: checks: read"`,
	"github oidc":      `"permissions: id-token: write"`,
}

// checkRunEnvironment asks for the job's check run. GitHub Enterprise may not tell
// its number.
func (j *Job) checkRunEnvironment(ctx context.Context) (string, error) {
	id, variable := j.lookup("check-run-id")
	if id == "" || j.token() == "" || j.host.API == nil {
		return "", errNoMeans
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 {
		return "", fmt.Errorf("%s: %q is not the number of a check run", variable, id)
	}
	api, err := j.api()
	if err != nil {
		return "", err
	}
	return api.Environment(ctx, j.Repository, n)
}

// oidcEnvironment returns the claim "environment". It names a chain and grants
// nothing, and the token comes from the runner itself, so that nobody needs to
// check the signature.
func (j *Job) oidcEnvironment(ctx context.Context) (string, error) {
	request := j.host.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL")
	if request == "" || j.host.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN") == "" {
		return "", errNoMeans
	}
	if u, err := url.Parse(request); err != nil || u.Scheme != "https" && !loopback(u) {
		return "", errors.New("the token service (ACTIONS_ID_TOKEN_REQUEST_URL) has no https URL")
	}
	client := &http.Client{
		Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the token service redirects") // the library would send its token along
		},
	}
	action := githubactions.New(githubactions.WithGetenv(j.host.Getenv), githubactions.WithHTTPClient(client))
	token, err := action.GetIDToken(ctx, audience)
	if err != nil {
		// The library's error may hold the whole answer.
		if r, ok := errors.AsType[*githubactions.RequestFailedError](err); ok {
			return "", fmt.Errorf("the token service answers %d", r.StatusCode)
		}
		return "", errors.New("the token service does not answer")
	}
	return environmentClaim(token)
}

func environmentClaim(token string) (string, error) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, ok := strings.Cut(rest, ".")
	data, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Environment string `json:"environment"`
	}
	if !ok || err != nil || json.Unmarshal(data, &claims) != nil {
		return "", errors.New("the token service's answer is no token")
	}
	return claims.Environment, nil
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
