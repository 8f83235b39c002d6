package keeper

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// ProgramName is what a switch stores the program under that shall take its place.
const ProgramName = "program"

const (
	noTrial   = -1
	readyTime = 20 * time.Second      // a new program is given to be ready, and before to be prepared
	trialTime = 10 * time.Second      // it must serve before the one before is let go
	stopTime  = 20 * time.Millisecond // the old one is given to stop, before it is killed as it is
)

// upgrade is what the keeper knows of programs.
type upgrade struct {
	program  int         // descriptor of the program after an upgrade; 0: Options.Program
	next     *standby    // of a program that is to take over; nil: none is
	coming   int         // its descriptor
	before   int         // that of the one before, while the new one is on trial; noTrial: none is
	fallback *standby    // of that one
	trial    *time.Timer // of the new one
	freezing bool        // the switch that hands over has been told to stop
}

// path is what is executed. A program that came by an upgrade is named by our
// descriptor, so that it is the one that was meant, whatever becomes of its file.
func (k *keeper) path() string {
	if k.program == 0 {
		return k.Program
	}
	return programPath(k.program)
}

func programPath(fd int) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd) }

// prepare starts another program ahead, so that nothing is lost if it cannot be.
func (k *keeper) prepare(program int) {
	if k.next != nil {
		k.refuse("another came in its place")
	}
	if k.before != noTrial && k.told.ready {
		k.stays()
	}
	k.coming = program
	var err error
	if k.before != noTrial {
		k.refuse("the one that runs is on trial itself")
	} else if k.next, err = k.ahead(programPath(program)); err != nil {
		k.refuse("it cannot be started: " + err.Error())
	} else {
		k.trial.Reset(readyTime)
	}
}

// refuse gives up a program that was to take over.
func (k *keeper) refuse(why string) {
	k.Log.Error("the new program is given up, nothing has changed", zap.String("why", why))
	k.dismiss(k.next)
	closeAll([]int{k.coming})
	k.next, k.coming = nil, 0
	k.store.answer(wordRefused + why)
}

// canTakeOver is told that a standby waits to be let in.
func (k *keeper) canTakeOver(s *standby) {
	if s == k.next {
		k.store.answer(wordPrepared)
	}
}

// freeze stops the switch that hands over, wherever it is: calls go on until then, and
// nothing has to wait until its memory is given back.
func (k *keeper) freeze() {
	if k.next == nil || k.pid == 0 {
		k.Log.Error("the switch hands over, and nobody is prepared")
		return
	}
	k.freezing = syscall.Kill(k.pid, syscall.SIGSTOP) == nil
	k.trial.Reset(stopTime)
}

// frozen is told when all of the switch has stopped: it can touch nothing any more.
func (k *keeper) frozen() {
	if !k.freezing {
		return // somebody else has stopped it
	}
	_ = syscall.Kill(k.pid, syscall.SIGKILL)
	k.store.settle()
	k.listen()
	k.pid = 0
	k.handOver()
}

// handOver puts the next program in the place of the one that ends, on trial. The
// standby of the one before stays, for the case that it fails.
func (k *keeper) handOver() {
	k.freezing = false
	if k.died.IsZero() {
		k.died = time.Now()
	}
	k.before, k.program = k.program, k.coming
	k.fallback, k.standby, k.next = k.standby, k.next, nil
	k.trial.Reset(readyTime)
	k.Log.Info("the switch hands over to another program")
	k.again.Reset(0)
}

// judge ends a trial: a program that is ready stays, one that is not is ended, and its
// death brings back the one before. One that was not even prepared is refused.
func (k *keeper) judge() {
	switch {
	case k.freezing && k.next != nil: // a thread of it waits for a disk: those that are stopped need not
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
	case k.next != nil:
		k.refuse(fmt.Sprintf("it was not prepared within %s", readyTime))
	case k.before == noTrial:
	case k.told.ready:
		k.stays()
	case k.pid != 0:
		k.Log.Error("the new program was not ready in time", zap.Duration("within", readyTime))
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
	}
}

// stays ends the trial of a program well.
func (k *keeper) stays() {
	if k.before > 0 {
		closeAll([]int{k.before})
	}
	k.dismiss(k.fallback)
	k.before, k.fallback = noTrial, nil
	k.Log.Info("the new program stays", zap.Int("pid", k.pid))
}

// rollBack takes the program before into use again.
func (k *keeper) rollBack(why string) {
	k.Log.Error("the new program is given up, the one before goes on", zap.String("why", why))
	closeAll([]int{k.program})
	k.dismiss(k.standby)
	k.standby, k.fallback = k.fallback, nil
	k.program, k.before, k.soon = k.before, noTrial, 0
}
