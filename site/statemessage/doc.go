// Package statemessage keeps the newest state of each topic of each device, as
// clients report it: what state something is in, in the original's numbers. It
// owns the table state_message, whose single writer is the Dispatcher of the
// active site server (Process). It does not know what a topic means.
//
// The newest of a topic wins by the time at which it came about, by the
// client's clock; of two with one time the one that arrives later. A client
// whose clock ran ahead is held to the time of receipt, so that it cannot keep
// what comes after from being shown.
package statemessage
