-- Tables of kinds that every.sql has not: what a definition can say, and values beside every.sql's.
drop database if exists kinds; create database kinds character set utf8mb4; use kinds;
set sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00';

create table extremes(
 id int primary key, d1 decimal(65,30), d2 decimal(65,0), d3 decimal(38,38) unsigned, ti6 time(6), ti3 time(3),
 dt6 datetime(6), dt3 datetime(3), ts6 timestamp(6) null, ye year, f float unsigned, f2 double unsigned, bi7 bit(7), bi33 bit(33));
insert into extremes values
 (1, 99999999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999999999999999999999999999999999999999999999999,
  0.99999999999999999999999999999999999999, '838:59:59.999999', '838:59:59.999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999',
  '1970-01-01 00:00:00.000001', 1901, 3.402823466e38, 1.7976931348623157e308, b'1111111', 8589934591),
 (2, 0.000000000000000000000000000001, -99999999999999999999999999999999999999999999999999999999999999999,
  0.00000000000000000000000000000000000001, '-838:59:59.999999', '-00:00:00.001', '0000-00-00 00:00:00.000000', '0000-01-01 00:00:00.001',
  '2038-01-19 03:14:07.999999', 2155, 1.401298464e-45, 4.9e-324, b'0', 0),
 (3, -0.000000000000000000000000000001, 0, 0, '-00:00:00.000001', '24:00:00', '0001-01-01 00:00:00', '1969-12-31 23:59:59.999',
  '2001-09-09 01:46:40', 2069, 16777217, 9007199254740993, b'1010101', 1),
 (4, null, null, null, null, null, null, null, null, null, null, null, null, null);

create table shapes(
 id int auto_increment primary key, po point not null, ls linestring, pg polygon, mp multipoint, ml multilinestring, mg multipolygon,
 gc geometrycollection, ge geometry not null default st_geomfromtext('point(1 1)'), spatial index(po)) engine=aria;
insert into shapes(po, ls, pg, mp, ml, mg, gc) values
 (point(1e300, -1e-300), st_linefromtext('linestring(0 0,1 1)'), st_polyfromtext('polygon((0 0,0 3,3 3,0 0),(1 1,1 2,2 2,1 1))'),
  st_mpointfromtext('multipoint(1 2,3 4)'), st_mlinefromtext('multilinestring((0 0,1 1),(2 2,3 3))'),
  st_mpolyfromtext('multipolygon(((0 0,0 1,1 1,0 0)),((5 5,5 6,6 6,5 5)))'),
  st_geomcollfromtext('geometrycollection(point(1 1),linestring(0 0,1 1))')),
 (point(0, 0), null, null, null, null, null, null);

create table ids(u uuid not null default uuid(), v4 inet4 not null, v6 inet6, primary key(u, v4), key(v6));
insert into ids values('00000000-0000-0000-0000-000000000000', '0.0.0.0', '::'), ('ffffffff-ffff-ffff-ffff-ffffffffffff', '255.255.255.255', null),
 ('fa291b89-e61f-11f1-a8e9-02fc00000001', '127.0.0.1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
 ('30303030-3030-3030-3030-303030303030', '48.48.48.48', '3030:3030:3030:3030:3030:3030:3030:3030');

create table generated(
 a int not null, b varchar(30), js json, v int as (a * 2) virtual, s varchar(40) as (concat(b, '-', a)) persistent, n int as (json_value(js, '$.n')) virtual,
 h int invisible default (a + 1), i int not null invisible default 5, up timestamp(3) not null default current_timestamp(3) on update current_timestamp(3),
 primary key(a), unique key(s), key(v), constraint named check (b <> '' or b is null), check (a > -10));
insert into generated(a, b, js, h, i, up) values(-9, null, null, null, 0, '2000-01-01'), (1, 'x', '{"n": 5}', 7, -1, '2030-01-01 00:00:00.999'), (2, 'ü', '[]', 8, 1, '2001-01-01');

create table texts(
 id bigint unsigned primary key, bin varchar(50) collate utf8mb4_bin, uca varchar(50) collate utf8mb4_unicode_520_ci, nopad char(9) collate utf8mb4_nopad_bin,
 cz varchar(20) character set utf8mb3 collate utf8mb3_czech_ci, co longtext compressed, cb blob compressed, n national varchar(9), bn binary(3) not null,
 vb varbinary(10), ft text, en enum('1','2','0') default '2', se set('a','b','c','d') not null default 'a,d', key(ft(7)), fulltext(ft), key d(uca desc), key(bn) ignored) row_format=dynamic;
insert into texts(id, bin, uca, nopad, cz, co, cb, n, bn, vb, ft, en, se) values
 (0, 'a', 'ÀÉ', 'a', 'ž', repeat('long ', 5000), repeat(x'00ff', 5000), 'ñ', x'000000', x'00', 'first', '0', 'a,b,c,d'),
 (1, 'A ', 'e', 'a ', '', '', '', '', x'202020', x'2020', '', '1', ''),
 (18446744073709551615, '\\', '\'', '"', '\n', '\0', '\t', '\r\n', x'5c6e00', x'5c4e', '\\N', '2', 'd'),
 (2, null, null, null, null, null, null, null, x'ffffff', null, null, null, 'b');

create table kept(id int auto_increment primary key, x int) auto_increment = 1000;
insert into kept(x) values(1), (2), (3); delete from kept where x > 1;

create table seconds(id int not null, at datetime(6) not null, primary key(at desc, id)) partition by hash(id) partitions 3;
create table listed(id int not null, kind int, primary key(id, kind)) partition by list(kind)
 subpartition by hash(id) subpartitions 2 (partition a values in (1, 2), partition b values in (3));
create table versioned(id int primary key, x varchar(10), secret int without system versioning) with system versioning;
create table periods(id int, s date, e date, period for p(s, e), unique(id, p without overlaps));
insert into seconds values(1, '2020-01-01 00:00:00.000001'), (2, '2019-01-01'), (3, '0000-00-00');
insert into listed values(1, 1), (2, 3), (3, 2);
insert into versioned values(1, 'a', 1), (2, 'b', 2); update versioned set x = 'c' where id = 1; delete from versioned where id = 2;
insert into periods values(1, '2020-01-01', '2020-02-01'), (1, '2020-02-01', '2020-03-01'), (2, '2020-01-01', '9999-12-31');

create table in_memory(id int primary key, t varchar(20)) engine=memory; insert into in_memory values(2, 'b'), (1, 'a');
create table as_csv(id int not null, t varchar(20) not null) engine=csv; insert into as_csv values(2, 'b,"'), (1, 'a\n');
create table no_transactions(id int, t varchar(20), key(id)) engine=aria transactional=0; insert into no_transactions values(1, 'x'), (1, 'x'), (null, null);
create table `näme "q`` 日本` (`a ``b` int, `a-b` int, `A_b` int, `a.b` int, `1` int, `select` int, primary key(`a ``b`)) comment='c''o\\m, (ment)';
insert into `näme "q`` 日本` values(1, 2, 3, 4, 5, 6);

create table parents(id int primary key, up int, constraint self foreign key(up) references parents(id) on delete set null on update cascade);
create table children(id int primary key, parent int not null default 1, at datetime, key(parent),
 constraint of_parent foreign key(parent) references parents(id) on delete restrict);
create table changes(n int auto_increment primary key, what varchar(80));
insert into parents values(1, null), (2, 1), (3, 2); insert into children values(1, 1, '2021-01-01'), (2, 3, null);
delimiter //
create trigger children_ai after insert on children for each row begin
 declare t text default 'it''s "ä"; ';
 if new.id > 0 then insert into changes(what) values(concat(t, new.id)); end if;
end//
create trigger children_bu before update on children for each row set new.at = '2000-01-01'//
create trigger children_ai2 after insert on children for each row follows children_ai insert into changes(what) values('second')//
delimiter ;
create sequence counter start with 9223372036854775800 increment by 1 maxvalue 9223372036854775806 cycle nocache;
create sequence down start with -1 increment by -5 minvalue -100 maxvalue -1 nocache;
select nextval(counter), nextval(down), nextval(down);
create table numbered(id bigint not null default nextval(counter) primary key, t int); insert into numbered(t) values(1), (2);
create view joined as select c.id, p.up, `s`.`v` from children c join parents p on p.id = c.parent left join generated s on s.a = c.id;
create algorithm=merge sql security invoker view positive as select * from parents where id > 0 with local check option;
