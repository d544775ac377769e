// Package robustness kills a whole site and its clients at random moments, takes
// their power away, sets their disks back and copies them, and then looks for
// what had been promised. The tests are in this folder; traffic is the process
// that holds clients, history the record of a run and its judgement, numbered
// what both have to agree on.
//
// A run is random from a seed, which it prints. The seed repeats the faults and
// their order; processes and the network still race as they like.
//
//	go test ./test/robustness                       the short form
//	make nemesis NEMESIS_ROUNDS=200 SEED=7          a longer one
//	make soak SOAK_TIME=2h
//
// A run that fails keeps its folder and says where: the journals of all
// processes, their logs and the site database.
package robustness
