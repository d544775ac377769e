package inventory

import (
	"encoding/binary"
	"strings"
)

// cpuid asks the processor about itself.
func cpuid(leaf uint32) (eax, ebx, ecx, edx uint32)

// hypervisorSignature is the name under which a hypervisor shows itself in the
// range of leaves that processors leave to it. The kernel shows it in no file.
func hypervisorSignature() string {
	const present = 1 << 31
	if _, _, ecx, _ := cpuid(1); ecx&present == 0 {
		return ""
	}
	_, b, c, d := cpuid(0x40000000)
	var text []byte
	for _, part := range []uint32{b, c, d} {
		text = binary.LittleEndian.AppendUint32(text, part)
	}
	return strings.TrimRight(string(text), "\x00")
}
