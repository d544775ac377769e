//go:build !amd64

package inventory

// hypervisorSignature needs an instruction that only x86 has.
func hypervisorSignature() string { return "" }
