// Package device knows the machines of the site: how one becomes a device
// (registration, approval, renewal), who it is (keys, hardware), what is known
// of its activity, and whether it is blocked. It owns the tables registration,
// device, device_key and change_counter's row 'device'. It does not know what
// devices report or receive.
//
// # Registration
//
// A management point stores what a client asked (Submit) and waits; the
// component Registrar of the active site server decides, because it alone can
// open the issuing key. While no site server is active the client is told to
// come back, and the same key asking again gets the same answer.
//
//	waiting  → done | refused | pending
//	pending  → approved (an administrator) → done
//	         → refused (an administrator)
//
// # Identity
//
// A device is its identifier; its key may change and its hardware ties a
// reinstalled machine to its record (sameMachine). A machine that finds
// another machine's identity on its disk registers as a copy and gets a record
// of its own; both records say so.
//
// # Trust
//
// What a management point says is not believed: the new key's signature, the
// token's, the earlier certificate's are checked here again.
package device
