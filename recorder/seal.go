package recorder

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// ErrSealed: the recording is encrypted and the identity given, if any, is not
// the one it is sealed to.
var ErrSealed = errors.New("recording is sealed")

// wrapKey makes a key for one recording and wraps it for the recipient. Nobody
// keeps the bare key but the cipher and, if there is one, the shelf of what outlives
// the process; it is never at rest.
func wrapKey(to age.Recipient) (key, wrapped []byte, err error) {
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err == nil {
		_, err = w.Write(key)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("wrap key: %w", err)
	}
	return key, b.Bytes(), nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// unwrapKey opens a wrapped key with the age secret key in identity.
func unwrapKey(wrapped []byte, identity string) (cipher.AEAD, error) {
	if identity == "" {
		return nil, ErrSealed
	}
	ids, err := age.ParseIdentities(strings.NewReader(identity))
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), ids...)
	if err != nil {
		return nil, fmt.Errorf("%w to another key: %w", ErrSealed, err)
	}
	key, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w, and its key is damaged: %w", ErrSealed, err)
	}
	defer clear(key)
	return newAEAD(key)
}

// sealer turns the chunks of one recording into frames: numbered, chained and,
// with a key, encrypted. The writer's alone.
type sealer struct {
	id     recID
	aead   cipher.AEAD // nil: not encrypted
	number uint32      // of the next chunk
	prev   [sha256.Size]byte
	nonce  [12]byte
}

// seal makes a frame of the chunk and appends it to b, which is empty. The chunk
// stays as it is: what has not been written must be there for another life. The
// nonce is the chunk's number, which the key never sees twice with another content:
// a chunk whose write fails is sealed again as it was, before any other, and a new
// life leaves out the number that may have been used (resume).
func (s *sealer) seal(b []byte, c *chunk, k kind, flags uint8) []byte {
	plain := c.b[headSize:]
	h := head{kind: k, flags: flags, id: s.id, number: s.number, first: c.first, last: c.last, lost: c.lost, length: uint32(len(plain)), prev: s.prev}
	sealed := s.aead != nil && k != headChunk
	if sealed {
		h.flags |= sealedFlag
		h.length += tagSize
	}
	b = slices.Grow(b, headSize+int(h.length)+crcSize)[:headSize]
	h.put(b)
	if sealed {
		binary.BigEndian.PutUint64(s.nonce[4:], uint64(s.number))
		b = s.aead.Seal(b, s.nonce[:], plain, b)
	} else {
		b = append(b, plain...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// written lets the next chunk follow from this frame.
func (s *sealer) written(frame []byte) {
	s.prev = sha256.Sum256(frame)
	s.number++
}

// unseal gives the payload of a frame in the clear. Head chunks never are sealed.
func unseal(aead cipher.AEAD, f *frame) ([]byte, error) {
	if f.flags&sealedFlag == 0 {
		return f.payload, nil
	}
	if aead == nil {
		return nil, ErrSealed
	}
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], uint64(f.number))
	plain, err := aead.Open(nil, nonce[:], f.payload, f.raw[:headSize])
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", f.number, err)
	}
	return plain, nil
}
