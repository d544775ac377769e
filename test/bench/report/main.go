// Command report runs the benchmarks of test/bench and writes what they gave to
// docs/performance.md, good or poor. Nothing in that file is typed by hand.
//
//	go run ./test/bench/report [-bench REGEXP] [-out FILE]
//
// With a choice of benchmarks it prints the results and writes nothing.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

func main() {
	bench := flag.String("bench", ".", "which benchmarks, as a regular expression")
	out := flag.String("out", "docs/performance.md", "file to write")
	from := flag.String("from", "", "read the output of an earlier run instead of measuring")
	flag.Parse()
	if err := run(*bench, *out, *from); err != nil {
		log.Fatal(err)
	}
}

func run(bench, out, from string) error {
	about, err := machine()
	if err != nil {
		return err
	}
	raw, err := measure(bench, from)
	if err != nil {
		return err
	}
	figures := parse(raw)
	text, missing := render(about, figures, raw)
	if bench != "." || len(missing) > 0 {
		fmt.Print("\n", table(figures))
		if bench == "." {
			return fmt.Errorf("%s was not written, because these did not run: %s", out, strings.Join(missing, ", "))
		}
		return nil
	}
	return os.WriteFile(out, []byte(text), 0o644)
}

// measure runs the benchmarks and returns what they printed.
func measure(bench, from string) (string, error) {
	if from != "" {
		data, err := os.ReadFile(from)
		return string(data), err
	}
	var output bytes.Buffer
	// Each measures in rounds of its own, so that once is enough.
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", bench, "-benchtime", "1x", "-timeout", "90m", "mainstay/test/bench")
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &output), os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("the benchmarks failed: %w", err)
	}
	return output.String(), nil
}

// about says where and when it was measured.
type about struct {
	commit, when, processor, memory, kernel, goVersion, load, disk string
	cores                                                          int
}

func machine() (about, error) {
	a := about{cores: runtime.NumCPU(), goVersion: runtime.Version(), when: time.Now().UTC().Format("2006-01-02 15:04 UTC")}
	commit, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude", "*", "--abbrev=12").Output()
	if err != nil {
		return a, fmt.Errorf("cannot tell the commit: %w", err)
	}
	a.commit = strings.TrimSpace(string(commit))
	a.processor = fact("/proc/cpuinfo", "model name")
	a.memory = fact("/proc/meminfo", "MemTotal")
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return a, err
	}
	a.kernel = strings.TrimSpace(string(kernel))
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return a, err
	}
	a.load, _, _ = strings.Cut(string(load), " ")
	a.disk, err = syncTime()
	return a, err
}

// fact is the value of the first line of a file that begins with a name.
func fact(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
		}
	}
	return "unknown"
}

// syncTime is how long this machine's disk takes to make a kilobyte durable,
// on which every commit depends.
func syncTime() (string, error) {
	f, err := os.CreateTemp("", "sync-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const times = 200
	began := time.Now()
	for range times {
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			return "", err
		}
		if err := f.Sync(); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%.2f ms", float64(time.Since(began).Microseconds())/1000/times), nil
}
