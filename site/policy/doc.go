// Package policy decides which policy each device has, signs it, and gives it
// to management points. It owns the tables client_setting,
// client_setting_target, policy_body, policy_device, policy_wanted and
// change_counter's row 'policy'. It does not know how clients obey, nor, but
// for client settings, what is in a body.
//
// # From intent to device
//
// A change of intent puts the devices it touches into policy_wanted (Want).
// The component Compiler works that list off: it assembles each device's
// assignments, and when they differ from what the device has, signs a new list
// whose version is max(last + 1, microseconds of time), so that no version
// comes back after a restore. Bodies are stored once by hash.
//
// # Freshness
//
// Each device has a signed statement that its list is the newest, good for 45
// days and replaced after 7, so that a management point that holds policy back
// is noticed. Expiry stops accepting, never obeying.
//
// # Failure
//
// The compiler takes no input but the tables; a failed pass is repeated by the
// next. While no site server is active, devices keep what they have.
package policy
