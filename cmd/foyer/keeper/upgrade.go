package keeper

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// HandOver is the exit status of a switch that makes room for another program, which
// it has stored under ProgramName before.
const (
	HandOver    = 76
	ProgramName = "program"
)

const (
	noTrial   = -1
	readyTime = 20 * time.Second // a new program is given to be ready
	trialTime = 10 * time.Second // it must serve before the one before is let go
)

// path is what is executed. A program that came by an upgrade is named by our
// descriptor, so that it is the one that was meant, whatever becomes of its file.
func (k *keeper) path() string {
	if k.program == 0 {
		return k.Program
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), k.program)
}

// handedOver says whether a death makes room for another program, which is on trial
// then.
func (k *keeper) handedOver(s syscall.WaitStatus) bool {
	if !s.Exited() || s.ExitStatus() != HandOver {
		return false
	}
	next, ok := k.store.take(ProgramName)
	if !ok {
		return false
	}
	if k.before > 0 {
		closeAll([]int{k.before})
	}
	k.before, k.program = k.program, next
	k.trial.Reset(readyTime)
	k.Log.Info("the switch hands over to another program")
	return true
}

// judge ends a trial: a program that is ready stays, one that is not is ended, and its
// death brings back the one before.
func (k *keeper) judge() {
	switch {
	case k.before == noTrial:
	case k.told.ready:
		if k.before > 0 {
			closeAll([]int{k.before})
		}
		k.before = noTrial
		k.Log.Info("the new program stays", zap.Int("pid", k.pid))
	case k.pid != 0:
		k.Log.Error("the new program was not ready in time", zap.Duration("within", readyTime))
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
	}
}

// rollBack takes the program before into use again.
func (k *keeper) rollBack(why string) {
	k.Log.Error("the new program is given up, the one before goes on", zap.String("why", why))
	closeAll([]int{k.program})
	k.program, k.before, k.soon = k.before, noTrial, 0
}
