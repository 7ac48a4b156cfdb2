//! COMMAND: what the server tells of its own commands. All of it is derived from the rows.

use crate::command::introspect::{acl_category, find_keys, has_keys, info, key_flag_names, simple_set};
use crate::command::{Acl, Command, Flags, FoundKeys, Group, Lookup, Row, docs, table};
use crate::error::{self, Error};
use crate::executor::{Args, Call};
use crate::glob;

/// The family's rows.
pub const ROWS: &[Row] = &[COMMAND];

const FLAGS: Flags = Flags::LOADING.union(Flags::STALE);
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

const COMMAND: Row = Row::new("command", -1, Group::Server, "2.8.13", command)
    .flags(FLAGS)
    .categories(Acl::CONNECTION)
    .tips(UNORDERED)
    .subcommands(&[
        sub("command|count", 2, "2.8.13", command_count),
        sub("command|docs", -2, "7.0.0", command_docs).tips(UNORDERED),
        sub("command|getkeys", -3, "2.8.13", command_getkeys),
        sub("command|getkeysandflags", -3, "7.0.0", command_getkeysandflags),
        sub("command|help", 2, "5.0.0", command_help),
        sub("command|info", -2, "2.8.13", command_info).tips(UNORDERED),
        sub("command|list", -2, "7.0.0", command_list).tips(UNORDERED),
    ]);

const fn sub(name: &'static str, arity: i16, since: &'static str, handler: crate::command::Handler) -> Row {
    Row::new(name, arity, Group::Server, since, handler).flags(FLAGS).categories(Acl::CONNECTION)
}

fn command(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let commands = table().commands();
    call.reply.array(commands.len());
    commands.iter().for_each(|command| info(&mut call.reply, command));
    Ok(())
}

fn command_count(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.len(table().commands().len());
    Ok(())
}

fn command_info(call: &mut Call<'_, '_>) -> Result<(), Error> {
    if call.args.len() == 2 {
        return command(call);
    }
    let names = call.args.from(2);
    call.reply.array(names.len());
    for name in names {
        match table().get_full(name) {
            Some(command) => info(&mut call.reply, command),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn command_docs(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let commands: Vec<&Command> = if call.args.len() == 2 {
        table().commands().to_vec()
    } else {
        call.args.from(2).filter_map(|name| table().get_full(name)).collect()
    };
    call.reply.map(commands.len());
    commands.iter().for_each(|command| docs::doc(&mut call.reply, command));
    Ok(())
}

fn command_list(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let args = call.args;
    let names: Vec<&str> = match args.len() {
        2 => listed(|_| true),
        5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => Vec::new(),
        5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => {
            let category = acl_category(args.at(4));
            listed(|row| category.is_some_and(|category| row.acl().contains(category)))
        }
        5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => {
            listed(|row| glob::matches(args.at(4), row.name.as_bytes(), true))
        }
        _ => return Err(error::SYNTAX),
    };
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name));
    Ok(())
}

fn listed(wanted: impl Fn(&Row) -> bool) -> Vec<&'static str> {
    table().all().map(|command| command.row).filter(|row| wanted(row)).map(|row| row.name).collect()
}

fn command_getkeys(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, keys) = keys_of(call.args)?;
    call.reply.array(keys.len());
    keys.iter().for_each(|(at, _)| call.reply.bulk(args.at(*at)));
    Ok(())
}

fn command_getkeysandflags(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let (args, keys) = keys_of(call.args)?;
    call.reply.array(keys.len());
    for (at, flags) in keys {
        call.reply.array(2);
        call.reply.bulk(args.at(at));
        simple_set(&mut call.reply, &key_flag_names(flags), "");
    }
    Ok(())
}

/// The request within a COMMAND GETKEYS, and its keys.
fn keys_of(args: Args<'_>) -> Result<(Args<'_>, FoundKeys), Error> {
    let args = Args(&args.0[2..]);
    let Lookup::Found(command) = table().lookup(args.0) else {
        return Err(Error::new("ERR Invalid command specified"));
    };
    if !has_keys(command.row) {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !command.row.arity_ok(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let keys = find_keys(command.row, args);
    if keys.is_empty() && !command.row.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(Error::new("ERR Invalid arguments specified for command"));
    }
    Ok((args, keys))
}

fn command_help(call: &mut Call<'_, '_>) -> Result<(), Error> {
    call.reply.help(
        "command",
        &[
            "(no subcommand)",
            "    Return details about all Redis commands.",
            "COUNT",
            "    Return the total number of commands in this Redis server.",
            "LIST",
            "    Return a list of all commands in this Redis server.",
            "INFO [<command-name> ...]",
            "    Return details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "DOCS [<command-name> ...]",
            "    Return documentation details about multiple Redis commands.",
            "    If no command names are given, documentation details for all",
            "    commands are returned.",
            "GETKEYS <full-command>",
            "    Return the keys from a full Redis command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Return the keys and the access flags from a full Redis command.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::table;
    use crate::commands::testing::Bench;

    fn check(lines: &[(&str, &str)]) {
        let mut bench = Bench::new();
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    fn check_resp3(lines: &[(&str, &str)]) {
        let mut bench = Bench::new().resp3();
        lines.iter().for_each(|(line, reply)| bench.check(line, reply));
    }

    // All replies below were observed on redis-server 7.0.15.

    #[test]
    fn info() {
        let get = "*10 $3 get :2 *2 +readonly +fast :1 :1 :1 *3 +@read +@string +@fast *0 *1 *6 $5 flags *2 +RO +access \
                   $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 \
                   $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 $7 keystep :1 $5 limit :0 *0";
        check(&[
            ("command info nope", "*1 $-1"),
            ("command info get|x command|count|x", "*2 $-1 $-1"),
            ("command info Get", &format!("*1 {get}")),
            (
                "command info COMMAND|Count",
                "*1 *10 $13 command|count :2 *2 +loading +stale :0 :0 :0 *2 +@slow +@connection *0 *0 *0",
            ),
        ]);
        check_resp3(&[
            ("command info nope", "*1 _"),
            (
                "command info set",
                "*1 *10 $3 set :-3 ~2 +write +denyoom :1 :1 :1 ~3 +@write +@string +@slow ~0 ~1 \
                 %4 $5 notes $48 RW and ACCESS due to the optional `GET` argument \
                 $5 flags ~4 +RW +access +update +variable_flags \
                 $12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 \
                 $9 find_keys %2 $4 type $5 range $4 spec %3 $7 lastkey :0 $7 keystep :1 $5 limit :0 ~0",
            ),
        ]);
    }

    #[test]
    fn a_container_shows_its_subcommands() {
        let mut bench = Bench::new().resp3();
        let reply = bench.run("command info command");
        let head = "*1 *10 $7 command :-1 ~2 +loading +stale :0 :0 :0 ~2 +@slow +@connection ~1 $29 \
                    nondeterministic_output_order ~0 *7 *10 $13 command|count :2 ";
        assert!(reply.starts_with(head), "{reply}");
        assert!(
            bench
                .run("command docs command")
                .contains(" $11 subcommands %7 $13 command|count %4 $7 summary ")
        );
    }

    #[test]
    fn all_of_them() {
        let mut bench = Bench::new();
        let count = table().commands().len();
        assert_eq!(bench.run("command count"), format!(":{count}"));
        assert!(bench.run("command").starts_with(&format!("*{count} *10 ")));
        assert_eq!(bench.run("command"), bench.run("command info"));
        assert!(bench.run("command docs").starts_with(&format!("*{} ", 2 * count)));
        assert!(bench.run("command list").starts_with(&format!("*{} ", table().all().count())));
        assert!(bench.resp3().run("command docs").starts_with(&format!("%{count} ")));
    }

    #[test]
    fn docs() {
        check(&[
            ("command docs nope", "*0"),
            (
                "command docs Get nope",
                "*2 $3 get *10 $7 summary $22 Get the value of a key $5 since $5 1.0.0 $5 group $6 string \
                 $10 complexity $4 O(1) $9 arguments *1 *6 $4 name $3 key $4 type $3 key $14 key_spec_index :0",
            ),
        ]);
        check_resp3(&[
            ("command docs nope", "%0"),
            (
                "command docs COMMAND|Info",
                "%1 $12 command|info %6 \
                 $7 summary $78 Get array of specific Redis command details, or all when no argument is given. \
                 $5 since $6 2.8.13 $5 group $6 server \
                 $10 complexity $49 O(N) where N is the number of commands to look up \
                 $7 history ~1 *2 $5 7.0.0 $66 Allowed to be called with no argument to get info on all commands. \
                 $9 arguments *1 %3 $4 name $12 command-name $4 type $6 string $5 flags ~2 +optional +multiple",
            ),
        ]);
    }

    #[test]
    fn every_command_has_a_summary() {
        let mut bench = Bench::new();
        for command in table().all() {
            let reply = bench.run(&format!("command docs {}", command.row.name));
            assert!(reply.contains(" $7 summary $"), "{}: no line in docs.json", command.row.name);
        }
    }

    #[test]
    fn list() {
        check(&[
            ("command list filterby module x", "*0"),
            ("command list filterby aclcat nope", "*0"),
            ("command list filterby aclcat @string", "*0"),
            ("command list filterby pattern x", "*0"),
            ("command list FilterBy Pattern GET", "*1 $3 get"),
            (
                "command list filterby pattern COMMAND|GET*",
                "*2 $15 command|getkeys $23 command|getkeysandflags",
            ),
            ("command list filterby foo x", "-ERR syntax error"),
            ("command list filterby pattern", "-ERR syntax error"),
            ("command list foo", "-ERR syntax error"),
            ("command list filterby pattern a filterby pattern b", "-ERR syntax error"),
        ]);
        let strings = Bench::new().run("command list filterby aclcat STRING");
        assert!(strings.contains(" $3 get") && !strings.contains(" $4 ping"), "{strings}");
    }

    #[test]
    fn getkeys() {
        check(&[
            ("command getkeys get a", "*1 $1 a"),
            ("command getkeys get a b", "-ERR Invalid number of arguments specified for command"),
            ("command getkeys nope x", "-ERR Invalid command specified"),
            ("command getkeys command nope", "-ERR Invalid command specified"),
            ("command getkeys command count", "-ERR The command has no key arguments"),
            ("command getkeys ping x", "-ERR The command has no key arguments"),
            ("command getkeys", "-ERR wrong number of arguments for 'command|getkeys' command"),
            ("command getkeysandflags set a b", "*1 *2 $1 a *2 +OW +update"),
            ("command getkeysandflags set a b get", "*1 *2 $1 a *3 +RW +access +update"),
        ]);
        check_resp3(&[("command getkeysandflags get a", "*1 *2 $1 a ~2 +RO +access")]);
    }

    #[test]
    fn help_and_errors() {
        check(&[
            ("command count x", "-ERR wrong number of arguments for 'command|count' command"),
            ("command help x", "-ERR wrong number of arguments for 'command|help' command"),
            ("command nope", "-ERR unknown subcommand 'nope'. Try COMMAND HELP."),
            ("command|count", "-ERR unknown command 'command|count', with args beginning with: "),
        ]);
        let help = Bench::new().run("command help");
        assert!(
            help.starts_with(
                "*21 +COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +(no subcommand) +    Return"
            ),
            "{help}"
        );
        assert!(help.ends_with(" command. +HELP +    Prints this help."), "{help}");
    }
}
