// Package backup writes a whole site into one encrypted file while it runs,
// and unpacks one. It owns no table and knows none: it takes the database as
// one copy, and the folder of keys and the configuration as files.
//
// # Form
//
// A tar archive, compressed with zstd, encrypted with age under a passphrase
// (scrypt). Its first entry, manifest.json, is followed by the configuration,
// where there is one, so that whoever unpacks knows where to before anything is
// written; then come the other files; the last entry, checksums.json, holds the
// SHA-256 of each, so that an archive that was cut off is told from a whole
// one. Unpacking writes beside the target, and the caller moves it there when
// everything was checked.
package backup
