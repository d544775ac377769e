// Package client is what runs on a managed machine. It puts the parts together
// and decides nothing that a part can decide:
//
//	identity     who this machine is to its site
//	localstate   small facts that survive a restart, and the time
//	outbox       what the site must hear of, on disk
//	policy       what the site wants, checked and on disk
//	scheduler    when the jobs run
//	transport    how a management point is reached
//	inventory    what is so on the machine
//	localapi     the door for the administrator of the machine
//
// # One loop
//
// All work that needs the network or the state is a job (see jobs), run one
// after another by one loop: one upload is under way at a time, an identity
// never changes while a request uses it, and thousands of clients fit in a
// process. What watches the machine, and the local door, run beside it and only
// trigger jobs.
//
// # When something fails
//
// transport.judge says what an answer asks for, and follow does it; no other
// place decides. A client never ends because of what somebody answers, and it
// works on its last policy, collects and queues with nobody reachable. It
// starts from its disk, before any network.
package client
