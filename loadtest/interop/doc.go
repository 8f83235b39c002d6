// Package interop lets telephones that other people wrote meet the switch:
// baresip and linphone as agents and callers, Chromium with JsSIP as an agent,
// sipp as a carrier. Each runs headless as a process of its own, on loopback,
// playing a tone of its own, so that who hears whom is a matter of frequency and
// not of file size.
//
// It has tests only. What sipp says stands in testdata, a scenario a file, and the
// page that is a telephone in testdata/browser.
package interop
