package render

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// The part of SARIF 2.1.0 that we write: what GitHub's code scanning lists as
// required, and a place for each result.
type (
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
		Full  sarifText `json:"fullDescription"`
		Help  sarifText `json:"help"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifArtifact struct {
		URI     string `json:"uri"`
		URIBase string `json:"uriBaseId"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifRun struct {
		Tool       map[string]sarifDriver `json:"tool"`
		Automation map[string]string      `json:"automationDetails"`
		ColumnKind string                 `json:"columnKind"`
		Results    []sarifResult          `json:"results"`
	}
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
)

// sarif writes the findings as SARIF 2.1.0, for GitHub code scanning and
// Jenkins alike. One rule stands for each ID of a finding.
func sarif(r *report.Report, _ Options) ([]byte, error) {
	driver := sarifDriver{Name: "goproxy-setup", Version: visible(r.Version), Rules: []sarifRule{}}
	index := map[string]int{}
	level := map[report.Severity]string{report.Error: "error", report.Warning: "warning", report.Notice: "note"}
	results := []sarifResult{}
	for _, m := range marks(r) {
		if _, known := index[m.ID]; !known {
			index[m.ID] = len(driver.Rules)
			name := sarifText{strings.ReplaceAll(m.ID, "-", " ")}
			if m.ID != "" && m.ID[0] == 'L' { // a rule's number says nothing
				name.Text = visible(m.Title)
			}
			driver.Rules = append(driver.Rules, sarifRule{m.ID, name, name, sarifText{cmp.Or(visible(m.Fix), "see the job summary")}})
		}
		results = append(results, sarifResult{
			RuleID: m.ID, RuleIndex: index[m.ID], Level: cmp.Or(level[m.Severity], "warning"),
			// "[text](target)" in a message is a link.
			Message: sarifText{strings.ReplaceAll(m.text+fix(m.Fix), "](", "] (")},
			Locations: []sarifLocation{{sarifPhysical{
				sarifArtifact{(&url.URL{Path: m.file}).String(), "%SRCROOT%"}, sarifRegion{m.line, m.column},
			}}},
			Fingerprints: map[string]string{"goproxySetup/v1": m.fingerprint},
		})
	}
	return EncodeJSON(sarifLog{sarifSchema, "2.1.0", []sarifRun{{
		map[string]sarifDriver{"driver": driver}, map[string]string{"id": "goproxy-setup/"}, "unicodeCodePoints", results,
	}}})
}
