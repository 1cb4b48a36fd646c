package config

import (
	"path/filepath"
	"slices"
	"strings"
)

const (
	product      = "micro-net"
	socketName   = "api.sock"
	systemSocket = "/run/" + product + "/" + socketName
	systemData   = "/var/lib/" + product
	systemConfig = "/etc/" + product
)

// DataDir is where state is kept unless told otherwise: systemd's folder, the system's for root,
// the user's else. A user without a home has the system's, and is told when it is not theirs.
func DataDir(getenv func(string) string, uid int) string {
	switch {
	case getenv("MICRO_NET_DATA_DIR") != "":
		return getenv("MICRO_NET_DATA_DIR")
	case unitFolder(getenv, "STATE_DIRECTORY") != "":
		return unitFolder(getenv, "STATE_DIRECTORY")
	case uid == 0:
		return systemData
	}
	return userFolder(getenv, "XDG_STATE_HOME", ".local/state", systemData)
}

// ConfigDir is where config.yaml is: flag, environment, system or user.
func ConfigDir(flag string, getenv func(string) string, uid int) string {
	switch {
	case flag != "":
		return flag
	case getenv("MICRO_NET_CONFIG_DIR") != "":
		return getenv("MICRO_NET_CONFIG_DIR")
	case unitFolder(getenv, "CONFIGURATION_DIRECTORY") != "":
		return unitFolder(getenv, "CONFIGURATION_DIRECTORY")
	case uid == 0:
		return systemConfig
	}
	return userFolder(getenv, "XDG_CONFIG_HOME", ".config", systemConfig)
}

// SocketPath is where the API's socket is unless told otherwise.
func SocketPath(dataDir string, getenv func(string) string, uid int) string {
	switch {
	case unitFolder(getenv, "RUNTIME_DIRECTORY") != "":
		return filepath.Join(unitFolder(getenv, "RUNTIME_DIRECTORY"), socketName)
	case uid == 0:
		return systemSocket
	}
	return filepath.Join(userFolder(getenv, "XDG_RUNTIME_DIR", "", dataDir), socketName)
}

// SocketCandidates lists where a client looks for a daemon: the user's own, then the system's.
func SocketCandidates(getenv func(string) string, uid int) []string {
	data := DataDir(getenv, uid)
	var out []string
	for _, path := range []string{getenv("MICRO_NET_API_SOCKET"), SocketPath(data, getenv, uid), filepath.Join(data, socketName), systemSocket} {
		if path != "" && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}

// unitFolder is a folder that systemd made for the unit. A unit may have several, separated by
// colons (systemd.exec(5)).
func unitFolder(getenv func(string) string, name string) string {
	first, _, _ := strings.Cut(getenv(name), ":")
	return first
}

// userFolder is our folder in one of the user's base folders. Relative ones do not count (XDG
// Base Directory Specification). below is the default below the home, "" when there is none.
func userFolder(getenv func(string) string, name, below, otherwise string) string {
	if base := getenv(name); filepath.IsAbs(base) {
		return filepath.Join(base, product)
	}
	if home := getenv("HOME"); below != "" && filepath.IsAbs(home) {
		return filepath.Join(home, below, product)
	}
	return otherwise
}
