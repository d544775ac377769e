package sitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
)

// Reader runs reading transactions.
type Reader interface {
	// Read runs f in a transaction that sees one moment of the database and
	// cannot write.
	Read(ctx context.Context, f func(*Tx) error) error
}

// Writer runs writing transactions too.
type Writer interface {
	Reader
	// Write runs f in a transaction. When it returns nil, what f did is
	// committed and durable; when it returns an error, nothing was done.
	Write(ctx context.Context, f func(*Tx) error) error
}

// Config says where the database is.
type Config struct {
	// Path of the SQLite database file. Its folder is made when missing.
	Path string
}

// DB is the opened site database.
type DB struct {
	path           string
	writer, reader *pool
	events         hub
}

// Open opens the database, making it and bringing its schema up to date where
// needed.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Path == "" {
		return nil, fault.InvalidField("database", "is empty; give the path of the site database")
	}
	if err := filesys.MakeDir(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, err
	}
	if err := private(c.Path); err != nil {
		return nil, err
	}
	db := &DB{path: c.Path, events: newHub()}
	var err error
	if db.writer, err = openPool(ctx, c.Path, 1, "BEGIN IMMEDIATE", "_pragma=query_only(0)"); err != nil {
		return nil, err
	}
	if err := db.prepareSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	readers := max(2, runtime.NumCPU())
	if db.reader, err = openPool(ctx, c.Path, readers, "BEGIN", "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// private makes sure that nobody but the owner can read the file: it holds
// sealed secrets and personal data.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot open the site database %s; check that the folder exists and is writable", path)
	}
	return errors.Join(f.Chmod(0o600), f.Close(), filesys.SyncDir(filepath.Dir(path)))
}

// Close closes the database.
func (db *DB) Close() error {
	var errs []error
	for _, p := range []*pool{db.reader, db.writer} {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(errs...)
}

// Read implements Reader.
func (db *DB) Read(ctx context.Context, f func(*Tx) error) error {
	return db.reader.run(ctx, f)
}

// Write implements Writer.
func (db *DB) Write(ctx context.Context, f func(*Tx) error) error {
	var topics []string
	err := db.writer.run(ctx, func(tx *Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		topics = tx.topics
		return nil
	})
	if err == nil {
		db.events.publish(topics)
	}
	return err
}

// Subscribe returns a channel that receives a token after commits that
// announced one of the topics; several may fold into one. The subscriber must
// look at the database itself, once at the start and after each token. It ends
// with ctx.
func (db *DB) Subscribe(ctx context.Context, topics ...string) <-chan struct{} {
	return db.events.subscribe(ctx, topics)
}

// pool is a set of connections, each with statements that stay prepared.
type pool struct {
	db   *sql.DB
	free chan *conn
}

type conn struct {
	*sql.Conn
	statements map[string]*sql.Stmt
	begin      string
}

func openPool(ctx context.Context, path string, connections int, begin, options string) (*pool, error) {
	query := options + "&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)"
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query)
	if err != nil {
		return nil, fmt.Errorf("cannot open the site database: %w", err)
	}
	db.SetMaxIdleConns(0)
	p := &pool{db: db, free: make(chan *conn, connections)}
	for range connections {
		c, err := db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "cannot open the site database %s", path), p.close())
		}
		p.free <- &conn{Conn: c, statements: map[string]*sql.Stmt{}, begin: begin}
	}
	return p, nil
}

// close ends the connections; what still runs on one fails.
func (p *pool) close() error {
	for range cap(p.free) {
		select {
		case c := <-p.free:
			c.close()
		default:
		}
	}
	return p.db.Close()
}

// close ends the connection with its statements: the engine keeps one that has
// any open in secret, and so never puts the log into the database.
func (c *conn) close() {
	for _, stmt := range c.statements {
		stmt.Close()
	}
	c.Close()
}

func (p *pool) run(ctx context.Context, f func(*Tx) error) error {
	select {
	case c := <-p.free:
		defer func() { p.free <- c }()
		return c.transaction(ctx, f)
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the site database did not get round to this in time")
	}
}

func (c *conn) transaction(ctx context.Context, f func(*Tx) error) error {
	tx := &Tx{conn: c}
	if err := tx.control(ctx, c.begin); err != nil {
		return err
	}
	// The end of a transaction is not given up half-way.
	end := context.WithoutCancel(ctx)
	done := false
	defer func() {
		if !done {
			c.ExecContext(end, "ROLLBACK")
		}
	}()
	if err := f(tx); err != nil {
		return kindOf(err)
	}
	err := tx.control(end, "COMMIT")
	done = err == nil
	return err
}

// kindOf gives errors of the engine their kind.
func kindOf(err error) error {
	var known *fault.Error
	var engine *sqlite.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &engine):
		switch engine.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT:
			return fault.Wrap(fault.Unavailable, err, "the site database cannot be written at the moment")
		case sqlite3.SQLITE_CONSTRAINT:
			return fault.Wrap(fault.Conflict, err, "the change contradicts what the site database holds")
		}
	}
	return err
}

// Tx is a transaction. It is a sqldb.Session. It ends with the function that
// was given to Read or Write and must not be kept.
type Tx struct {
	conn   *conn
	topics []string
}

// Prepared implements sqldb.Session: a statement stays prepared as long as its
// connection. Rows of one statement must be read to the end before it runs
// again.
func (t *Tx) Prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt, ok := t.conn.statements[text]; ok {
		return stmt, nil
	}
	stmt, err := t.conn.PrepareContext(ctx, unnamed(text))
	if err != nil {
		return nil, err
	}
	t.conn.statements[text] = stmt
	return stmt, nil
}

// Query runs a statement whose text is built at run time, such as the lists of
// the API. Values go in as parameters, never as text.
func (t *Tx) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return t.conn.QueryContext(ctx, text, args...)
}

// Try runs f in a part of the transaction that is undone when f fails, while
// the transaction goes on. An error of the engine has its kind already: after
// one that is Unavailable the transaction cannot go on and must be given up.
func (t *Tx) Try(ctx context.Context, f func() error) error {
	if err := t.control(ctx, "SAVEPOINT part"); err != nil {
		return err
	}
	topics := len(t.topics)
	// The end is not given up half-way.
	end := context.WithoutCancel(ctx)
	if err := f(); err != nil {
		t.topics = t.topics[:topics]
		undone := errors.Join(t.control(end, "ROLLBACK TO SAVEPOINT part"), t.control(end, "RELEASE SAVEPOINT part"))
		if undone != nil { // the engine has given up the whole transaction
			return fault.Wrap(fault.Unavailable, errors.Join(err, undone), "the site database cannot be written at the moment")
		}
		return kindOf(err)
	}
	return t.control(end, "RELEASE SAVEPOINT part")
}

// control runs a statement that governs the transaction.
func (t *Tx) control(ctx context.Context, text string) error {
	stmt, err := t.Prepared(ctx, text)
	if err == nil {
		_, err = stmt.ExecContext(ctx)
	}
	return kindOf(err)
}

// Announce tells subscribers of the topics once the transaction is committed.
func (t *Tx) Announce(topics ...string) { t.topics = append(t.topics, topics...) }

// Micros is the form in which the database keeps time: microseconds since
// 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Snapshot writes a whole and consistent copy of the database to path, which
// must not exist, while everything goes on.
func (db *DB) Snapshot(ctx context.Context, path string) error {
	// A connection of its own: transactions go on meanwhile, and those of
	// readers may not even write elsewhere.
	c, err := db.writer.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("cannot copy the site database: %w", kindOf(err))
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("cannot copy the site database to %s: %w", path, kindOf(err))
	}
	return nil
}
