-- Every type of MariaDB 10.11 at its extremes, and tables of every kind.
drop database if exists shop; create database shop character set utf8mb4; use shop;
set sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';
create table every(
 id bigint unsigned not null auto_increment, t1 tinyint, t2 tinyint unsigned, s1 smallint, s2 smallint unsigned zerofill,
 m1 mediumint, m2 mediumint unsigned, i1 int, i2 int unsigned, b1 bigint, b2 bigint unsigned,
 d1 decimal(65,30), d2 decimal(10,0) unsigned, d3 decimal(30,30), f1 float, f2 double, f3 float(10,3), f4 double(20,2), bi1 bit(1), bi2 bit(64), bo boolean,
 da date, ti time, ti6 time(6), dt datetime, dt6 datetime(6), ts timestamp null, ts6 timestamp(6) null, ye year,
 ch char(10), vc varchar(100), tt tinytext, tx text, mt mediumtext, lt longtext,
 l1 varchar(50) character set latin1, g varchar(50) character set gbk, sj text character set sjis, u2 varchar(30) character set ucs2, u16 varchar(30) character set utf16, u3 varchar(30) character set utf8mb3 collate utf8mb3_bin, asc1 char(5) character set ascii, vb2 varchar(10) character set binary,
 bn binary(5), vb varbinary(300), tb tinyblob, bl blob, mb mediumblob, lb longblob,
 en enum('a','b''c','ü') , en2 enum('','x','1'), enl enum('ä','b') character set latin1, se set('x','y','z z'), js json, uu uuid, i4 inet4, i6 inet6,
 ge geometry, po point, 
 vg int generated always as (t1+1) virtual, sg varchar(200) generated always as (concat(vc,'!')) stored, inv int invisible default 7,
 `we``ird "näme\n` int default 5 comment 'a, ) `quoted`',
 primary key(id), key(t1), constraint chk check (t1 is null or t1 < 128)) engine=innodb comment='it''s, a ) table';
insert into every(id) values (18446744073709551615),(0);
insert into every set id = 1, t1 = -128, t2 = 255, s1 = -32768, s2 = 65535, m1 = -8388608, m2 = 16777215,
 i1 = -2147483648, i2 = 4294967295, b1 = -9223372036854775808, b2 = 18446744073709551615,
 d1 = -99999999999999999999999999999999999.999999999999999999999999999999, d2 = 9999999999,
 d3 = 0.999999999999999999999999999999, f1 = -3.40282347e38, f2 = 1.7976931348623157e308, f3 = 1234567.891,
 f4 = 12345678901234567.89, bi1 = b'1', bi2 = 18446744073709551615, bo = 1, da = '9999-12-31', ti = '838:59:59',
 ti6 = '-838:59:59.999999', dt = '9999-12-31 23:59:59', dt6 = '0001-01-01 00:00:00.000001',
 ts = '1970-01-01 00:00:01', ts6 = '2038-01-19 03:14:07.999999', ye = 2155, ch = 'abc  ',
 vc = 'tab\tnew\nback\\slash\0nul\rcr', tt = '', tx = '𝄞 emoji 😀', l1 = 'äöü€', g = '你好', sj = '日本語', u2 = 'ĀĂ',
 u16 = '𝄞', u3 = 'ü', asc1 = 'az09', vb2 = x'00ff', bn = x'0001', vb = x'ff00fe0a095c27', tb = x'', bl = 'a',
 en = 'a', en2 = '', enl = 'ä', se = 'x,z z', js = '{"a": [1, 2]}', uu = 'fa291b89-e61f-11f1-a8e9-02fc00000001',
 i4 = '255.255.255.255', i6 = '2001:db8::1:2:33', ge = st_geomfromtext('polygon((0 0,0 1,1 1,0 0))', 4326),
 po = point(1.5, -2.5), inv = null, `we``ird "näme\n` = -1;
insert into every set id = 2, t1 = 127, t2 = 0, s1 = 32767, s2 = 0, m1 = 8388607, m2 = 0, i1 = 2147483647, i2 = 0,
 b1 = 9223372036854775807, b2 = 0, d1 = 0, d2 = 0, d3 = -0.000000000000000000000000000001, f1 = 1.17549435e-38,
 f2 = -2.2250738585072014e-308, f3 = 0.001, f4 = -0.01, bi1 = b'0', bi2 = 0, bo = 0, da = '0000-00-00',
 ti = '-838:59:59', ti6 = '00:00:00.000000', dt = '0000-00-00 00:00:00', dt6 = '2023-02-31 12:00:00.5',
 ts = '0000-00-00 00:00:00', ts6 = '0000-00-00 00:00:00', ye = 0, ch = '', vc = '', tt = 'x', tx = 'y',
 l1 = unhex('80818d8f909d'), g = '', sj = '', u2 = '', u16 = '', u3 = '', asc1 = '', vb2 = '', bn = '', vb = '', tb = '',
 bl = repeat(unhex('00ff27225c0a0d091a'), 5000), en = 'b''c', en2 = '1', enl = 'b', se = '', js = '[]', uu = '00000000-0000-0000-0000-000000000000',
 i4 = '0.0.0.0', i6 = '::', inv = 3, `we``ird "näme\n` = null;
insert into every set id = 3, f1 = 0.1, f2 = 0.1, da = '2023-00-10', ti6 = '23:59:59.999999', dt = '2023-00-00 00:00:00',
 dt6 = '1000-01-01 00:00:00', ch = '\\N', vc = 'NULL', tt = '\\', tx = '"', mt = repeat('µ', 100000), lb = repeat('x', 3000000),
 en = 'ü', en2 = 'x', se = 'x,y,z z', js = '"s"', i6 = '::ffff:1.2.3.4', ge = point(0, 0), po = null,
 inv = 0, ye = 1970, ti = '24:00:00';
insert ignore into every(id,en,en2) values(4,'zzz','zzz');
insert into every(id,g,sj) values(5,x'A2E3',x'81808740FC4B');
create table plain(id int primary key auto_increment, name varchar(30) not null, v double) engine=innodb;
insert into plain select seq, concat('name ',seq), seq/7 from seq_1_to_200000;
create table nokey(a int, b varchar(10)) engine=myisam; insert into nokey values(3,'x'),(1,null),(3,'x');
create table aria_t(a int primary key) engine=aria; insert into aria_t select seq from seq_1_to_1000;
create table part(id int not null, y int not null, primary key(id,y)) partition by range(y) (partition p0 values less than (2000), partition p1 values less than maxvalue); insert into part values(1,1999),(2,2020);
create table hist(a int primary key, b int) with system versioning; insert into hist values(1,1); update hist set b=2;
create sequence sq start with 10 increment by 3 cache 5; select nextval(sq);
create view vw as select id,name from plain where id<10;
create table `we;DROP TABLE plain;--``"'/../x` (a int); insert into `we;DROP TABLE plain;--``"'/../x` values(1);
create table empty_t(a int);
