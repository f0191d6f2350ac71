package policy

// HasEnvironments reports whether the policy tells environments apart: whether
// it matters what a build's environment is called.
func (p *Policy) HasEnvironments() bool {
	for _, e := range p.environments {
		if e.name != defaultBlock {
			return true
		}
	}
	return false
}
