// Package keeper lets calls outlive the process that switches them. It holds what
// must not die with it, sockets and the memory of calls, starts the switch, and
// starts it again.
package keeper
