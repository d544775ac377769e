// Command build makes the .deb and .rpm packages of Mainstay from programs that
// were built before.
//
//	go -C packaging run ./build -what client,server -arch amd64,arm64 -format deb,rpm -out ../bin/packages
//
// Equal inputs give equal packages, byte for byte: the only time in them is
// that of the commit, and every owner and mode is said here and not taken from
// the disk.
//
// It stands in a module of its own, so that what it is made from stays out of
// the programs that it packs.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options is what to build from what.
type options struct {
	what    []string // "client", "server"
	arches  []string // as Go names them
	formats []string // "deb", "rpm"

	// version is the version of the programs. Empty asks make, as mtime zero
	// does.
	version string
	// mtime is the time that every file in a package bears, in seconds since
	// 1970 UTC: that of the commit.
	mtime int64

	compression string // "xz", "gzip"

	source   string // root of the source tree
	binaries string // programs of this machine's architecture; others are in linux-ARCH below it
	out      string // where packages go
	hostArch string // the architecture whose programs can be run here
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build packages:", err)
		os.Exit(1)
	}
}

// run is main without the process: it reads the arguments, builds and says
// what it has built, one path a line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if opts.version == "" || opts.mtime == 0 {
		if err := opts.askMake(ctx); err != nil {
			return err
		}
	}
	paths, err := build(ctx, opts)
	for _, path := range paths {
		fmt.Fprintln(stdout, path)
	}
	return err
}

// parse reads the arguments and refuses what nothing can be built from.
func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.SetOutput(stderr)
	what := flags.String("what", "client,server", "which packages, separated by commas: client, server")
	arches := flags.String("arch", "amd64,arm64", "for which architectures: amd64, arm64")
	formats := flags.String("format", "deb,rpm", "in which formats: deb, rpm")
	flags.StringVar(&opts.version, "version", "", "version of the programs (default: what 'make version' says)")
	mtime := flags.String("mtime", "", "time of the commit in seconds since 1970 (default: what 'make version' says)")
	flags.StringVar(&opts.compression, "compression", "xz", "how files are compressed: xz (smaller) or gzip (quicker)")
	flags.StringVar(&opts.source, "source", "..", "root of the source tree")
	flags.StringVar(&opts.binaries, "binaries", "../bin", "where the programs are; those for another architecture in linux-ARCH below it")
	flags.StringVar(&opts.out, "out", "../bin/packages", "where the packages go")
	flags.StringVar(&opts.hostArch, "host-arch", hostArch, "whose programs can be run here")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q is not understood: everything is said by flags, see -help", flags.Arg(0))
	}

	var err error
	if opts.what, err = chosen("what", *what, []string{"client", "server"}); err != nil {
		return options{}, err
	}
	if opts.arches, err = chosen("arch", *arches, []string{"amd64", "arm64"}); err != nil {
		return options{}, err
	}
	if opts.formats, err = chosen("format", *formats, []string{"deb", "rpm"}); err != nil {
		return options{}, err
	}
	if opts.compression != "xz" && opts.compression != "gzip" {
		return options{}, fmt.Errorf("-compression is %q: it can be xz or gzip", opts.compression)
	}
	if *mtime != "" {
		opts.mtime, err = strconv.ParseInt(*mtime, 10, 64)
		if err != nil || opts.mtime <= 0 {
			return options{}, fmt.Errorf("-mtime is %q: it must be a time in whole seconds after 1970, as 'git log -1 --format=%%ct' prints", *mtime)
		}
	}
	return opts, nil
}

// chosen splits the value of a flag, in the order of what there is.
func chosen(name, value string, all []string) ([]string, error) {
	asked := strings.Split(value, ",")
	for i, word := range asked {
		asked[i] = strings.TrimSpace(word)
		if !slices.Contains(all, asked[i]) {
			return nil, fmt.Errorf("-%s names %q: it can be %s, or several separated by commas", name, word, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(word string) bool { return !slices.Contains(asked, word) }), nil
}

// askMake asks the Makefile which build this is, so that it is decided in one
// place.
func (opts *options) askMake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "make", "--no-print-directory", "--silent", "-C", opts.source, "version")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("cannot ask make for the version (give -version and -mtime instead): %w\n%s", err, stderr.String())
	}
	words := strings.Fields(string(out))
	if len(words) != 2 {
		return fmt.Errorf("make says %q for version and time: give -version and -mtime instead", out)
	}
	mtime, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return fmt.Errorf("make says %q for the time: give -mtime instead", words[1])
	}
	if opts.version == "" {
		opts.version = words[0]
	}
	if opts.mtime == 0 {
		opts.mtime = mtime
	}
	return nil
}
