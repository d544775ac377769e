package machines

// release is one release of a distribution.
type release struct {
	// weight is how often it is found, in parts of the sum of all.
	weight int
	rpm    bool
	name   string
	id     string
	idLike string

	version, codename, caption string
	kernel, kernelBuild        string
	// suffix is what a package's release ends with (deb12, ubuntu, el9, fc40).
	suffix string
	// publisher is the vendor or the maintainer of most packages.
	publisher string
	// built is when its images were made, in seconds since 1970.
	built int64
}

// releases are the systems that run on the machines.
func releases() []release {
	const (
		debian = "Debian GNU/Linux"
		ubuntu = "Ubuntu"
		redhat = "Red Hat Enterprise Linux"
	)
	return []release{
		{weight: 30, name: debian, id: "debian", version: "12", codename: "bookworm", caption: debian + " 12 (bookworm)",
			kernel: "6.1.0-28-amd64", kernelBuild: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", suffix: "+deb12u",
			publisher: "Debian Maintainers <maintainers@debian.example>", built: 1_733_000_000},
		{weight: 8, name: debian, id: "debian", version: "11", codename: "bullseye", caption: debian + " 11 (bullseye)",
			kernel: "5.10.0-33-amd64", kernelBuild: "#1 SMP Debian 5.10.226-1 (2024-10-03)", suffix: "+deb11u",
			publisher: "Debian Maintainers <maintainers@debian.example>", built: 1_719_800_000},
		{weight: 14, name: ubuntu, id: "ubuntu", idLike: "debian", version: "22.04", codename: "jammy", caption: "Ubuntu 22.04.5 LTS",
			kernel: "5.15.0-126-generic", kernelBuild: "#136-Ubuntu SMP Wed Nov 6 10:38:22 UTC 2024", suffix: "ubuntu0.22.04.",
			publisher: "Ubuntu Developers <developers@ubuntu.example>", built: 1_727_000_000},
		{weight: 12, name: ubuntu, id: "ubuntu", idLike: "debian", version: "24.04", codename: "noble", caption: "Ubuntu 24.04.1 LTS",
			kernel: "6.8.0-49-generic", kernelBuild: "#49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov 4 02:06:24 UTC 2024", suffix: "ubuntu0.24.04.",
			publisher: "Ubuntu Developers <developers@ubuntu.example>", built: 1_731_500_000},
		{weight: 12, rpm: true, name: redhat, id: "rhel", idLike: "fedora", version: "9.4", codename: "Plow", caption: redhat + " 9.4 (Plow)",
			kernel: "5.14.0-427.42.1.el9_4.x86_64", kernelBuild: "#1 SMP PREEMPT_DYNAMIC Fri Oct 18 14:35:40 EDT 2024", suffix: "el9_4",
			publisher: "Red Hat, Inc.", built: 1_730_000_000},
		{weight: 7, rpm: true, name: redhat, id: "rhel", idLike: "fedora", version: "8.10", codename: "Ootpa", caption: redhat + " 8.10 (Ootpa)",
			kernel: "4.18.0-553.27.1.el8_10.x86_64", kernelBuild: "#1 SMP Fri Oct 18 06:18:15 EDT 2024", suffix: "el8_10",
			publisher: "Red Hat, Inc.", built: 1_722_000_000},
		{weight: 9, rpm: true, name: "Rocky Linux", id: "rocky", idLike: "rhel centos fedora", version: "9.4", codename: "Blue Onyx", caption: "Rocky Linux 9.4 (Blue Onyx)",
			kernel: "5.14.0-427.40.1.el9_4.x86_64", kernelBuild: "#1 SMP PREEMPT_DYNAMIC Wed Oct 16 07:08:17 UTC 2024", suffix: "el9_4",
			publisher: "Rocky Enterprise Software Foundation", built: 1_729_600_000},
		{weight: 5, rpm: true, name: "AlmaLinux", id: "almalinux", idLike: "rhel centos fedora", version: "8.10", codename: "Cerulean Leopard", caption: "AlmaLinux 8.10 (Cerulean Leopard)",
			kernel: "4.18.0-553.22.1.el8_10.x86_64", kernelBuild: "#1 SMP Tue Sep 24 05:16:59 EDT 2024", suffix: "el8_10",
			publisher: "AlmaLinux", built: 1_721_000_000},
		{weight: 3, rpm: true, name: "Fedora Linux", id: "fedora", version: "40", caption: "Fedora Linux 40 (Workstation Edition)",
			kernel: "6.11.8-200.fc40.x86_64", kernelBuild: "#1 SMP PREEMPT_DYNAMIC Thu Nov 14 19:42:30 UTC 2024", suffix: "fc40",
			publisher: "Fedora Project", built: 1_731_900_000},
	}
}

// profile is a purpose for which an image was made.
type profile struct {
	// name begins the host names.
	name   string
	weight int
	// packages is how many an image has, at least and at most.
	least, most int
	// desktop: it has a screen, and a person who owns it.
	desktop bool
	// ports are what it listens on besides ssh.
	ports []port
	// services are what it runs besides those of every machine.
	services []string
}

type port struct {
	number  uint64
	process string
	path    string
	user    string
}

// profiles are what the machines are for.
func profiles() []profile {
	return []profile{
		{name: "node", weight: 18, least: 300, most: 480, services: []string{"containerd", "kubelet"},
			ports: []port{{10250, "kubelet", "/usr/bin/kubelet", "root"}, {10256, "kube-proxy", "/usr/bin/kube-proxy", "root"}}},
		{name: "web", weight: 16, least: 420, most: 760, services: []string{"nginx", "php-fpm", "certbot"},
			ports: []port{{80, "nginx", "/usr/sbin/nginx", "root"}, {443, "nginx", "/usr/sbin/nginx", "root"}}},
		{name: "db", weight: 10, least: 400, most: 640, services: []string{"postgresql", "pgbouncer"},
			ports: []port{{5432, "postgres", "/usr/lib/postgresql/16/bin/postgres", "postgres"}, {6432, "pgbouncer", "/usr/sbin/pgbouncer", "postgres"}}},
		{name: "app", weight: 16, least: 650, most: 1150, services: []string{"tomcat", "redis-server", "haproxy"},
			ports: []port{{8080, "java", "/usr/lib/jvm/java-17/bin/java", "tomcat"}, {6379, "redis-server", "/usr/bin/redis-server", "redis"}}},
		{name: "mail", weight: 4, least: 520, most: 820, services: []string{"postfix", "dovecot", "rspamd"},
			ports: []port{{25, "master", "/usr/lib/postfix/sbin/master", "root"}, {993, "dovecot", "/usr/sbin/dovecot", "root"}}},
		{name: "build", weight: 6, least: 1100, most: 1900, services: []string{"docker", "gitlab-runner"}},
		{name: "ws", weight: 30, least: 1500, most: 2300, desktop: true, services: []string{"gdm", "cups", "bluetooth", "NetworkManager", "colord"},
			ports: []port{{631, "cupsd", "/usr/sbin/cupsd", "root"}}},
	}
}
