package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	_ "gocloud.dev/blob/s3blob"  // s3://
	"gocloud.dev/gcerrors"

	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

// publishCheckpoint adds a signed checkpoint to a directory or bucket, under a name that sorts by the
// number of seals. What lies there is never written over: the same checkpoint again is no error, another
// one of the same size means that the chain was made anew.
func publishCheckpoint(ctx context.Context, to string, k proof.Checkpoint, signed []byte) (name string, err error) {
	bucket, err := openBucket(ctx, to)
	if err != nil {
		return "", usagef("%s: %v", to, err)
	}
	defer func() { err = errors.Join(err, bucket.Close()) }()
	name = fmt.Sprintf("checkpoint-%010d", k.Size)
	err = bucket.WriteAll(ctx, name, signed, &blob.WriterOptions{ContentType: "text/plain; charset=utf-8", IfNotExist: true})
	if err == nil {
		return name, nil
	}
	there, readErr := bucket.ReadAll(ctx, name)
	switch {
	case readErr != nil && gcerrors.Code(err) == gcerrors.FailedPrecondition:
		return "", fmt.Errorf("%s is in %s already and can't be read: %w", name, to, readErr)
	case readErr != nil:
		return "", fmt.Errorf("write %s to %s: %w", name, to, err)
	case bytes.Equal(there, signed):
		return name, nil
	}
	old, err := proof.OpenCheckpoint(there, "")
	if err == nil && old == k { // signed by another key, or by several
		return name, nil
	}
	return "", fmt.Errorf("%s in %s is another checkpoint of %d seals: the chain was made anew since: %w", name, to, k.Size, ledger.ErrCorrupt)
}

// openBucket opens a directory, made if it isn't there, or the bucket of a URL.
func openBucket(ctx context.Context, to string) (*blob.Bucket, error) {
	location, err := archive.Location(to)
	if err != nil {
		return nil, err
	}
	url, _, err := archive.BucketURL(location, true)
	if err != nil {
		return nil, err
	}
	return blob.OpenBucket(ctx, url)
}
