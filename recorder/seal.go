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
	"strings"

	"filippo.io/age"
)

// ErrSealed: the recording is encrypted and the identity given, if any, is not
// the one it is sealed to.
var ErrSealed = errors.New("recording is sealed")

// wrapKey makes a key for one recording and wraps it for the recipient. Nobody
// keeps the bare key but the cipher.
func wrapKey(to age.Recipient) (cipher.AEAD, []byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, to)
	if err == nil {
		_, err = w.Write(key)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("wrap key: %w", err)
	}
	aead, err := newAEAD(key)
	clear(key)
	return aead, wrapped.Bytes(), err
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

// seal makes the chunk a whole frame, in place. The nonce is the chunk's number,
// which the key never sees twice: a recording is not continued by another
// process, and a chunk whose write fails is written again as it is.
func (s *sealer) seal(c *chunk, k kind, flags uint8) {
	n := len(c.b) - headSize
	h := head{kind: k, flags: flags, id: s.id, number: s.number, first: c.first, last: c.last, lost: c.lost, length: uint32(n), prev: s.prev}
	sealed := s.aead != nil && k != headChunk
	if sealed {
		h.flags |= sealedFlag
		h.length += tagSize
	}
	h.put(c.b)
	if sealed {
		binary.BigEndian.PutUint64(s.nonce[4:], uint64(s.number))
		c.b = c.b[:headSize+len(s.aead.Seal(c.b[headSize:headSize], s.nonce[:], c.b[headSize:], c.b[:headSize]))]
	}
	c.b = binary.LittleEndian.AppendUint32(c.b, crc32.Checksum(c.b, castagnoli))
	s.prev = sha256.Sum256(c.b)
	s.number++
	c.sealed = true
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
