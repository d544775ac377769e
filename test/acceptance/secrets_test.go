package acceptance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"mainstay/site/sitedb"
	"mainstay/test/sitetest"
)

// TestSecretsStaySecret looks for every secret that a site has given out or
// keeps, everywhere where it must not stand.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	site := sitetest.Start(t)
	secrets := map[string][]byte{"recovery key": []byte(site.RecoveryKey), "passphrase of the backup": []byte(passphrase)}
	if site.RecoveryKey == "" {
		t.Fatal("site init showed no recovery key")
	}

	client := newManaged(t, "client", site.Clients)
	token := site.Token()
	secrets["registration token"] = []byte(strings.Split(token, ".")[3])
	if said, code := client.install(token); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	client.run()
	awaitInventory(t, site, client.id())

	const password = "a fine long password"
	create := exec.Command(sitetest.Program(t, "mainstay"), "administrator", "create", "anna", "--role", "full-administrator", "--password")
	create.Env = append(os.Environ(), "MAINSTAY_SOCKET="+site.Socket)
	create.Stdin = strings.NewReader(password + "\n" + password + "\n")
	if out, problem, code := run(t, create); code != 0 {
		t.Fatalf("creating an administrator: %d\n%s%s", code, out, problem)
	}
	secrets["password"] = []byte(password)
	var link struct {
		Code string `json:"code"`
	}
	site.JSON(&link, "administrator", "sign-in-link", "anna")
	secrets["sign-in code"] = []byte(link.Code)
	body, err := json.Marshal(map[string]string{"name": "anna", "password": password, "kind": "command"})
	must(t, err)
	answer, err := site.Stranger().Post("https://"+site.Admin+"/api/v1/session", "application/json", bytes.NewReader(body))
	must(t, err)
	var session struct {
		Token string `json:"token"`
	}
	text := readAll(t, answer.Body)
	decode(t, text, &session)
	if answer.StatusCode >= http.StatusMultipleChoices || session.Token == "" {
		t.Fatalf("signing in: %d %s", answer.StatusCode, text)
	}
	secrets["session"] = []byte(session.Token)
	backup := filepath.Join(t.TempDir(), "LAB.mainstay")
	site.Must("site", "backup", backup, "--config", site.Config)

	keys := filepath.Join(site.Dir, "data", "keys")
	own, err := os.ReadFile(filepath.Join(keys, "site-server.key"))
	must(t, err)
	secrets["key of the site server"] = bytes.TrimSpace(own)
	recovery, err := age.ParseX25519Identity(site.RecoveryKey)
	must(t, err)
	server, err := age.ParseX25519Identity(strings.TrimSpace(string(own)))
	must(t, err)
	root := openRoot(t, site, filepath.Join(keys, "root-key.age"), recovery, server)
	secrets["root key"] = root
	for name, data := range openSecrets(t, site, server, recovery) {
		secrets["secret "+name] = data
	}
	if len(secrets) < 10 {
		t.Fatalf("found only the secrets %v", len(secrets))
	}

	if err := site.Stop(); err != nil {
		t.Error(err)
	}
	client.stop()
	places := map[string][]byte{"log of the client": []byte(client.process.everything()), "log of the server": []byte(site.Log())}
	for _, pattern := range []string{filepath.Join(site.Dir, "data", "site.db*"), site.Config, backup} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s (%v)", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			must(t, err)
			places[filepath.Base(file)] = data
		}
	}
	for secret, data := range secrets {
		for where, content := range places {
			for form, needle := range forms(data) {
				if bytes.Contains(content, needle) {
					t.Errorf("%s stands in the %s, %s", secret, where, form)
				}
			}
		}
	}
	for where, content := range places {
		for _, sign := range []string{"AGE-SECRET-KEY-", "PRIVATE KEY"} {
			if bytes.Contains(content, []byte(sign)) {
				t.Errorf("%s holds a %s", where, sign)
			}
		}
	}
	for _, folder := range []string{filepath.Join(site.Dir, "data"), client.dir} {
		nobodyElseReads(t, folder)
	}
}

// forms are those in which a secret might stand somewhere.
func forms(secret []byte) map[string][]byte {
	all := map[string][]byte{"as it is": secret, "in hexadecimal": []byte(hex.EncodeToString(secret))}
	// Enough of it, so that neighbours do not change the letters.
	if len(secret) > 30 {
		for shift := range 3 {
			part := secret[shift : len(secret)-(len(secret)-shift)%3]
			all[fmt.Sprintf("in base 64, shifted by %d", shift)] = []byte(base64.RawStdEncoding.EncodeToString(part))
			all[fmt.Sprintf("in base 64 for addresses, shifted by %d", shift)] = []byte(base64.RawURLEncoding.EncodeToString(part))
		}
	}
	return all
}

// openRoot opens the root's private key as somebody would after a disaster, and
// makes sure that nobody else can.
func openRoot(t *testing.T, site *sitetest.Site, path string, recovery, server age.Identity) []byte {
	t.Helper()
	sealed, err := os.ReadFile(path)
	must(t, err)
	other, err := age.GenerateX25519Identity()
	must(t, err)
	for who, identity := range map[string]age.Identity{"the site server": server, "a stranger": other} {
		if _, err := age.Decrypt(bytes.NewReader(sealed), identity); err == nil {
			t.Errorf("%s opens the root key", who)
		}
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), recovery)
	must(t, err)
	data, err := io.ReadAll(plain)
	must(t, err)
	der := data
	if block, _ := pem.Decode(data); block != nil {
		der = block.Bytes
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	must(t, err)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the root key is a %T", parsed)
	}
	answer, err := site.Stranger().Get("https://" + site.Admin + "/site-root.pem")
	must(t, err)
	block, _ := pem.Decode([]byte(readAll(t, answer.Body)))
	root, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	if !key.PublicKey.Equal(root.PublicKey) {
		t.Error("the root key is not that of the site's root certificate")
	}
	return der
}

// openSecrets opens what the database keeps sealed: all of it with the recovery
// key, all but the root with the key of the site server.
func openSecrets(t *testing.T, site *sitetest.Site, server, recovery age.Identity) map[string][]byte {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(site.Dir, "data", "site.db")})
	must(t, err)
	defer db.Close()
	opened := map[string][]byte{}
	must(t, db.Read(t.Context(), func(tx *sitedb.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT name, sealed FROM secret`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var sealed []byte
			if err := rows.Scan(&name, &sealed); err != nil {
				return err
			}
			plain, err := age.Decrypt(bytes.NewReader(sealed), recovery)
			if err != nil {
				return fmt.Errorf("the recovery key does not open %s: %w", name, err)
			}
			if opened[name], err = io.ReadAll(plain); err != nil {
				return err
			}
			if _, err := age.Decrypt(bytes.NewReader(sealed), server); (err == nil) == strings.Contains(name, "root") {
				t.Errorf("the site server opens %s: %v", name, err == nil)
			}
		}
		return rows.Err()
	}))
	return opened
}

// nobodyElseReads walks a folder in which secrets and personal data are.
func nobodyElseReads(t *testing.T, folder string) {
	t.Helper()
	must(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s: others can read it", path, info.Mode())
		}
		return err
	}))
}
