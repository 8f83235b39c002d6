// Package console is what people see of the switch: an HTTP API described by
// OpenAPI, and one page. It knows nothing of calls, agents or recordings itself;
// it asks through the small interfaces of needs.go and shows the answers.
//
// Who may do what stands with each route as a scope, and every request is somebody:
// the bearer of a token, the operator on the admin socket, or, in demo mode only
// and from this machine only, the demo user. A token may be limited to some
// clients; that limit goes into every query and is checked again on every answer.
//
// Whoever listens to a recording leaves a line in the audit trail before the first
// byte goes out. If the line cannot be written, nobody listens.
package console
