//! Messages as the JSON that `testdata/` describes them with. Every field, none twice.

use ninefold_wire::{
    Attr, Dialect, Dirent, Dirents, LockRange, Qid, Qids, Reply, Request, SetAttr, Stat, Statfs,
    Steps,
};
use serde_json::{Value, json};

/// A request as JSON.
pub fn request(tag: u16, message: &Request<'_>) -> Value {
    merge(
        head('T', tag, Request::TABLE, message.number()),
        request_fields(message),
    )
}

/// A reply as JSON.
pub fn reply(tag: u16, message: &Reply<'_>) -> Value {
    merge(
        head('R', tag, Reply::TABLE, message.number()),
        reply_fields(message),
    )
}

/// The entries in the data of an Rreaddir.
pub fn entries(data: &[u8]) -> Value {
    Dirents::new(data)
        .map(|entry| dirent(&entry.expect("a whole entry")))
        .collect()
}

/// The stats in the data of an Rread of a directory.
pub fn stats(mut data: &[u8], dialect: Dialect) -> Value {
    let mut all = Vec::new();
    while !data.is_empty() {
        let (one, rest) = Stat::decode_entry(data, dialect).expect("a whole stat");
        all.push(stat(&one));
        data = rest;
    }
    Value::Array(all)
}

fn head(letter: char, tag: u16, table: &[(u8, &str)], number: u8) -> Value {
    let (_, name) = table
        .iter()
        .find(|row| row.0 == number)
        .expect("the message is in its table");
    json!({"type": format!("{letter}{}", name.to_lowercase()), "tag": tag})
}

// Laid out by hand: one message a line, like the table it mirrors.
#[rustfmt::skip]
fn request_fields(message: &Request<'_>) -> Value {
    use Request::*;
    match *message {
        Statfs { fid } | Readlink { fid } | Clunk { fid } | Remove { fid } | Stat { fid } => json!({"fid": fid}),
        Lopen { fid, flags } => json!({"fid": fid, "flags": flags}),
        Lcreate { fid, name, flags, mode, gid } =>
            json!({"fid": fid, "name": text(name.bytes()), "flags": flags, "mode": mode, "gid": gid}),
        Symlink { dfid, name, target, gid } =>
            json!({"dfid": dfid, "name": text(name.bytes()), "symtgt": text(target), "gid": gid}),
        Mknod { dfid, name, mode, major, minor, gid } =>
            json!({"dfid": dfid, "name": text(name.bytes()), "mode": mode, "major": major, "minor": minor, "gid": gid}),
        Rename { fid, dfid, name } => json!({"fid": fid, "dfid": dfid, "name": text(name.bytes())}),
        Getattr { fid, request_mask } => json!({"fid": fid, "request_mask": request_mask}),
        Setattr { fid, attr } => merge(json!({"fid": fid}), setattr(&attr)),
        Xattrwalk { fid, newfid, name } => json!({"fid": fid, "newfid": newfid, "name": text(name)}),
        Xattrcreate { fid, name, size, flags } =>
            json!({"fid": fid, "name": text(name), "attr_size": size, "flags": flags}),
        Fsync { fid, datasync } => merge(json!({"fid": fid}), optional("datasync", datasync.0.map(Value::from))),
        Lock { fid, kind, flags, range } =>
            merge(json!({"fid": fid, "locktype": kind, "flags": flags}), lock(&range)),
        Getlock { fid, kind, range } => merge(json!({"fid": fid, "locktype": kind}), lock(&range)),
        Link { dfid, fid, name } => json!({"dfid": dfid, "fid": fid, "name": text(name.bytes())}),
        Mkdir { dfid, name, mode, gid } =>
            json!({"dfid": dfid, "name": text(name.bytes()), "mode": mode, "gid": gid}),
        Renameat { olddirfid, oldname, newdirfid, newname } => json!({
            "olddirfid": olddirfid, "oldname": text(oldname.bytes()),
            "newdirfid": newdirfid, "newname": text(newname.bytes()),
        }),
        Unlinkat { dirfid, name, flags } => json!({"dirfid": dirfid, "name": text(name.bytes()), "flags": flags}),
        Version { msize, version } => json!({"msize": msize, "version": text(version)}),
        Auth { afid, uname, aname, n_uname } => merge(
            json!({"afid": afid, "uname": text(uname), "aname": text(aname)}),
            optional("n_uname", n_uname.map(Value::from)),
        ),
        Attach { fid, afid, uname, aname, n_uname } => merge(
            json!({"fid": fid, "afid": afid, "uname": text(uname), "aname": text(aname)}),
            optional("n_uname", n_uname.map(Value::from)),
        ),
        Flush { oldtag } => json!({"oldtag": oldtag}),
        Walk { fid, newfid, steps } => json!({"fid": fid, "newfid": newfid, "wnames": wnames(&steps)}),
        Open { fid, mode } => json!({"fid": fid, "mode": mode}),
        Create { fid, name, perm, mode, extension } => merge(
            json!({"fid": fid, "name": text(name.bytes()), "perm": perm, "mode": mode}),
            optional("extension", extension.map(text)),
        ),
        Read { fid, offset, count } | Readdir { fid, offset, count } =>
            json!({"fid": fid, "offset": offset, "count": count}),
        Write { fid, offset, data } => json!({"fid": fid, "offset": offset, "data": blob(data.0)}),
        Wstat { fid, stat: ref s } => json!({"fid": fid, "stat": stat(s)}),
    }
}

// Laid out by hand, as above.
#[rustfmt::skip]
fn reply_fields(message: &Reply<'_>) -> Value {
    use Reply::*;
    match *message {
        Lerror { ecode } => json!({"ecode": ecode}),
        Statfs { statfs: ref s } => statfs(s),
        Lopen { qid: q, iounit } | Lcreate { qid: q, iounit } | Open { qid: q, iounit } | Create { qid: q, iounit } =>
            json!({"qid": qid(&q), "iounit": iounit}),
        Symlink { qid: q } | Mknod { qid: q } | Mkdir { qid: q } | Attach { qid: q } => json!({"qid": qid(&q)}),
        Auth { aqid } => json!({"aqid": qid(&aqid)}),
        Rename {} | Setattr {} | Xattrcreate {} | Fsync {} | Link {} | Renameat {} | Unlinkat {} | Flush {}
            | Clunk {} | Remove {} | Wstat {} => json!({}),
        Readlink { target } => json!({"target": text(target)}),
        Getattr { attr: ref a } => attr(a),
        Xattrwalk { size } => json!({"size": size}),
        Readdir { data } | Read { data } => json!({"data": blob(data.0)}),
        Lock { status } => json!({"status": status}),
        Getlock { kind, range } => merge(json!({"locktype": kind}), lock(&range)),
        Version { msize, version } => json!({"msize": msize, "version": text(version)}),
        Error { ename, errno } => merge(json!({"ename": text(ename)}), optional("errno", errno.map(Value::from))),
        Walk { qids: ref q } => json!({"wqids": wqids(q)}),
        Write { count } => json!({"count": count}),
        Stat { stat: ref s } => json!({"stat": stat(s)}),
    }
}

fn merge(mut into: Value, more: Value) -> Value {
    let (Value::Object(fields), Value::Object(more)) = (&mut into, more) else {
        panic!("only objects are merged");
    };
    for (key, value) in more {
        assert_eq!(fields.insert(key, value), None, "a field twice");
    }
    into
}

fn optional(key: &str, value: Option<Value>) -> Value {
    value.map_or_else(|| json!({}), |value| json!({ key: value }))
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| blob(bytes), Value::from)
}

fn blob(bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"hex": hex})
}

fn qid(q: &Qid) -> Value {
    json!({"type": q.kind, "version": q.version, "path": q.path})
}

fn wqids(qids: &Qids) -> Value {
    qids.as_slice().iter().map(qid).collect()
}

fn wnames(steps: &Steps<'_>) -> Value {
    steps.iter().map(|step| text(step.bytes())).collect()
}

fn lock(range: &LockRange<'_>) -> Value {
    json!({
        "start": range.start, "length": range.length,
        "proc_id": range.proc_id, "client_id": text(range.client_id),
    })
}

fn setattr(a: &SetAttr) -> Value {
    json!({
        "valid": a.valid, "mode": a.mode, "uid": a.uid, "gid": a.gid, "size": a.size,
        "atime_sec": a.atime_sec, "atime_nsec": a.atime_nsec,
        "mtime_sec": a.mtime_sec, "mtime_nsec": a.mtime_nsec,
    })
}

fn attr(a: &Attr) -> Value {
    json!({
        "valid": a.valid, "qid": qid(&a.qid), "mode": a.mode, "uid": a.uid, "gid": a.gid,
        "nlink": a.nlink, "rdev": a.rdev, "size": a.size, "blksize": a.blksize, "blocks": a.blocks,
        "atime_sec": a.atime_sec, "atime_nsec": a.atime_nsec,
        "mtime_sec": a.mtime_sec, "mtime_nsec": a.mtime_nsec,
        "ctime_sec": a.ctime_sec, "ctime_nsec": a.ctime_nsec,
        "btime_sec": a.btime_sec, "btime_nsec": a.btime_nsec,
        "gen": a.generation, "data_version": a.data_version,
    })
}

fn statfs(s: &Statfs) -> Value {
    json!({
        "fstype": s.kind, "bsize": s.bsize, "blocks": s.blocks, "bfree": s.bfree,
        "bavail": s.bavail, "files": s.files, "ffree": s.ffree, "fsid": s.fsid, "namelen": s.namelen,
    })
}

fn stat(s: &Stat<'_>) -> Value {
    let base = json!({
        "type": s.kind, "dev": s.dev, "qid": qid(&s.qid), "mode": s.mode, "atime": s.atime,
        "mtime": s.mtime, "length": s.length, "name": text(s.name), "uid": text(s.uid),
        "gid": text(s.gid), "muid": text(s.muid),
    });
    let unix = s.unix.map_or_else(
        || json!({}),
        |unix| {
            json!({
                "extension": text(unix.extension),
                "n_uid": unix.n_uid, "n_gid": unix.n_gid, "n_muid": unix.n_muid,
            })
        },
    );
    merge(base, unix)
}

fn dirent(entry: &Dirent<'_>) -> Value {
    json!({
        "qid": qid(&entry.qid), "offset": entry.offset, "dtype": entry.kind, "name": text(entry.name),
    })
}
