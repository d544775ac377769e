// Package access knows who may administer the site, and what was done by whom:
// administrators, the built-in roles and their permissions, passwords,
// sessions, one-time sign-in codes and the audit trail. It knows no feature;
// features ask it with a Caller and give it audit entries.
//
// # Tables
//
// It owns administrator, administrator_role, session, sign_in_code and audit,
// and is the only writer of each. Its writers are the providers, which all run
// at once; nothing here needs a site server.
//
// # Guarantees
//
//   - Closed by default: the zero Caller may do nothing and the zero Scope sees
//     nothing.
//   - No secret is kept: passwords as argon2id, sessions and codes as SHA-256
//     of 256 random bits. None of them is ever in an audit entry.
//   - A change and its audit entry are one transaction. Refused attempts are
//     recorded in a transaction of their own.
//   - Entries of the audit trail are chained by hash: an entry that was changed
//     or taken out shows in Verify. Entries cut off at the end show only to
//     those who remember a later entry (VerifyRequest.KnownID); so write the
//     head down elsewhere from time to time.
//   - A disabled administrator is shut out at the next request, because every
//     request reads the row.
//
// # Local administrators
//
// Root and the members of the group mainstay on a site system need no
// password; a provider recognises them by the operating system. Their names
// begin with "local:", which no other name can. They get a row when they make
// a sign-in code for themselves, and have the role Full administrator.
//
// # Failure
//
// While the database is away nobody is signed in and nothing can be done:
// errors are Unavailable.
package access
